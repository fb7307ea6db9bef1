"""The split whose images are decoded as they are needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqdm import tqdm

from bls_bench.data.decoding import decode
from bls_bench.data.items import Items
from bls_bench.data.split import BatchSplit, MemorySplit, Pixels
from bls_bench.system.lazy import torch
from bls_bench.system.memory import CHOICES

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


class FolderSplit(BatchSplit):
    """Image files that `workers` processes (0: this one) decode batch by batch, ahead of training.

    `transform` turns an RGB picture into a (3, H, W) uint8 tensor, the same size for all. It may be
    random, as in `Items`. exif: see `decode`.
    """

    def __init__(
        self,
        paths: Sequence[str],
        targets: Tensor,
        transform: Callable[[Image.Image], Tensor],
        pixels: Pixels,
        seed: int,
        workers: int,
        exif: bool = False,
    ) -> None:
        super().__init__(targets, pixels, seed)
        self.paths = paths
        self._items = Items(len(paths), Decoder(paths, transform, exif), torch.stack, seed, workers)

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
        return self._items.batches(index_batches, epoch, device)


@dataclass(frozen=True)
class Decoder:
    """Reads image number i."""

    paths: Sequence[str]
    transform: Callable[[Image.Image], Tensor]
    exif: bool

    def __call__(self, index: int) -> Tensor:
        return decode(self.paths[index], self.transform, self.exif)


def check_reading(in_memory: str | bool, workers: int | str) -> str:
    """Check the settings of how files are read; returns in_memory as a word. Raises ValueError."""
    if workers != "auto" and (isinstance(workers, str) or workers < 0):
        raise ValueError(f"workers must be auto or at least 0, got {workers}")
    word = str(in_memory).lower()  # YAML reads true as a bool
    if word not in CHOICES:
        raise ValueError(f"in_memory must be one of {', '.join(CHOICES)}, got {word!r}")
    return word


def worker_count(workers: int | str) -> int:
    """Return how many processes read files; auto: one a CPU core of this process' share, 16 at most."""
    if isinstance(workers, int):
        return workers
    # Elsewhere nobody tells which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(max(cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1), 16)
