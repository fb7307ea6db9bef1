"""Small networks that a task needs beside its model, trained here on the same images, always alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from bls_bench.data.base import Data, Images, Split
from bls_bench.system.streams import stream

CPU = torch.device("cpu")
STEPS, BATCH, RATE = 400, 64, 2e-3
_trained: dict[str, nn.Module] = {}

# The loss of a network on the samples `chosen` (b,), with random numbers from a generator.
FixedLoss = Callable[[nn.Module, Tensor, torch.Generator], Tensor]


def trained(
    purpose: str, content: str, count: int, make: Callable[[], nn.Module], loss: FixedLoss
) -> nn.Module:
    """Return a network, made and trained on `count` samples once in a process; frozen, on the CPU.

    What becomes of it depends on `purpose` and on the data alone, which `content` stands for: not on the
    run's seed, nor its device. The global generators are left as they were.
    """
    if (name := f"{purpose}/{content}") not in _trained:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.set_state(stream(0, purpose).get_state())
            network = make()
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
        generator = stream(0, purpose, "batches")
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
            with torch.enable_grad():
                value = loss(network, torch.randint(count, (BATCH,), generator=generator), generator)
                optimizer.zero_grad()
                value.backward()
            optimizer.step()
        _trained[name] = network.eval().requires_grad_(False)
    return _trained[name]


def pixel_batches(split: Split, info: Images, device: torch.device) -> Iterator[Tensor]:
    """Yield the pixels (b, C, H, W) in [0, 1] of a whole split of images, without its augmentation."""
    for batch in split.plain().batches(list(torch.arange(len(split)).split(256)), 0, device):
        yield info.pixels(batch[0])


def training_pixels(data: Data) -> tuple[Tensor, str]:
    """Return the pixels (N, C, H, W) of all training images on the CPU, and a name for images and classes."""
    pixels = torch.cat(list(pixel_batches(data.train, data.info, CPU)))
    digest = hashlib.sha256(pixels.numpy().tobytes())
    if data.targets is not None:
        digest.update(data.targets.numpy().tobytes())
    return pixels, digest.hexdigest()
