"""Independent streams of random numbers, each named by what it is for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from bls_bench.system.lazy import torch


def stream(seed: int, *names: object) -> torch.Generator:
    """Return a CPU generator that depends on `seed` and on `names` alone.

    Two different names give unrelated streams, so drawing more numbers in one place (another pruner)
    leaves every other place (augmentation, initial weights) as it was. Since a stream is found again
    from its name, there is no generator state to save: `stream(seed, "select", epoch)` is the same
    after a resume, and on every process.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@contextmanager
def drawing_from(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Make torch's own generators draw from `generator` inside, and as if nothing had been drawn after.

    For code that takes no generator. device: the one beside the CPU on which it may draw.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        # Not torch.manual_seed: that would reseed devices whose state is not put back.
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed(seed)
        yield
