"""What the tasks share that show their samples on the page of a run (`bls_bench.gallery`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bls_bench.data.base import Data
from bls_bench.gallery.shown import Shown, numbered

AT_ONCE = 64
CPU = torch.device("cpu")


def classes(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield the class of each sample (n,), or nothing where there are no classes."""
    targets = None if data.targets is None else data.targets.numpy()
    return numbered(indices.tolist(), targets, () if targets is None else data.info.classes)


def batches(data: Data, indices: Tensor) -> Iterator[Any]:
    """Yield batches of training samples (n,) as they are, without augmentation, on the CPU."""
    if len(indices):
        yield from data.train.plain().batches(list(indices.split(AT_ONCE)), 0, CPU)


def spread(count: int, most: int) -> Tensor:
    """Return at most so many of `count` samples, (n,) int64, from the first on at even distances."""
    return torch.arange(min(most, count)) * max(1, count // most)


def images(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield images of batches that begin with normalised ones (b, C, H, W), C 1 or 3, and their classes."""
    pixels = (one for batch in batches(data, indices) for one in data.info.pixels(batch[0]))
    for image, known in zip(pixels, classes(data, indices), strict=True):
        yield Shown(known.label, picture((image * 255).round().to(torch.uint8)))


def picture(image: Tensor) -> Any:
    """Return a (C, H, W) uint8 image, C 1 or 3, as (H, W, 3) of numpy."""
    return image.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()
