"""The split whose images are decoded as they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image
from tqdm import tqdm

from bls_bench.data.split import BatchSplit, MemorySplit, Pixels
from bls_bench.data.transfer import to_device
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream

if TYPE_CHECKING:
    from torch import Tensor


class FolderSplit(BatchSplit):
    """Image files that `workers` processes (0: this one) decode batch by batch, ahead of training.

    `transform` turns an RGB picture into a (3, H, W) uint8 tensor, the same size for all. It may be
    random: it draws from torch's generator, which is set for every sample and put back afterwards.
    """

    def __init__(
        self,
        paths: Sequence[str],
        targets: Tensor,
        transform: Callable[[Image.Image], Tensor],
        pixels: Pixels,
        seed: int,
        workers: int,
    ) -> None:
        super().__init__(targets, pixels, seed)
        self.paths = paths
        self.transform = transform
        self.workers = workers

    def in_memory(self) -> MemorySplit:
        """Decode every file now, with a progress bar; for a transform that is not random."""
        chunks = torch.arange(len(self)).split(256)
        images = torch.empty(0, dtype=torch.uint8)
        with tqdm(total=len(self), desc="decoding images", disable=None) as bar:
            for chunk, decoded in zip(chunks, self._images(chunks, 0, torch.device("cpu")), strict=True):
                if not len(images):
                    images = decoded.new_empty(len(self), *decoded.shape[1:])
                images[chunk] = decoded
                bar.update(len(chunk))
        return MemorySplit(images, self.targets, self.pixels, self.seed)

    def _images(self, index_batches: Sequence[Tensor], epoch: int, device: torch.device) -> Iterator[Tensor]:
        loader = torch.utils.data.DataLoader(
            _Files(self.paths, self.transform, self.seed, epoch),
            batch_sampler=[batch.tolist() for batch in index_batches],
            num_workers=self.workers,
            collate_fn=_stack,
            worker_init_fn=_leave_process_group,
            pin_memory=device.type == "cuda",
            # Without one of its own the loader takes a number from the global generator.
            generator=torch.Generator(),
        )
        return to_device(map(_checked, loader), device)


@dataclass(frozen=True)
class _Files:
    """The map-style data set behind FolderSplit, for one epoch."""

    paths: Sequence[str]
    transform: Callable[[Image.Image], Tensor]
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor | InputError:
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: that would reseed the generators of the devices too.
            state = stream(self.seed, "augment", self.epoch, index).get_state()
            torch.default_generator.set_state(state)
            try:
                return decode(self.paths[index], self.transform)
            except InputError as error:
                # Raised in a worker it would arrive wrapped in the worker's traceback.
                return error


def decode(path: str, transform: Callable[[Image.Image], Tensor]) -> Tensor:
    """Read an image file as RGB and transform it. Raises InputError, naming the file, if it cannot."""
    try:
        with Image.open(path) as image:
            return transform(image.convert("RGB"))
    except Exception as error:  # Pillow's formats fail in many ways: OSError, SyntaxError, struct.error...
        raise InputError(f"{path} cannot be decoded as an image: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _stack(items: list[Tensor | InputError]) -> Tensor | InputError:
    return next((item for item in items if isinstance(item, InputError)), None) or torch.stack(items)


def _checked(images: Tensor | InputError) -> Tensor:
    if isinstance(images, InputError):
        raise images
    return images


def _leave_process_group(worker: int) -> None:
    """Leave a Ctrl-C to the main process, which finishes its step and then ends its workers itself."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
