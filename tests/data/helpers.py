"""Images made up for the tests, and how a split is read."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bls_bench.data.base import Split
from bls_bench.data.split import Pixels
from tests.helpers import CPU

AS_STORED = Pixels(mean=(0, 0, 0), std=(1, 1, 1))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int, size: int = 8, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, (count, channels, size, size), generator=generator(seed), dtype=torch.uint8)


def read(split: Split, epoch: int = 0, indices: torch.Tensor | None = None, size: int = 5) -> torch.Tensor:
    """The inputs of the samples `indices` (all), in that order, read in batches of `size`."""
    indices = torch.arange(len(split)) if indices is None else indices
    return torch.cat([inputs for inputs, _ in split.batches(indices.split(size), epoch, CPU)])


def targets(split: Split) -> torch.Tensor:
    return torch.cat([labels for _, labels in split.batches(torch.arange(len(split)).split(64), 0, CPU)])


def write_tree(
    root: Path, per_class: int = 4, size: tuple[int, int] = (32, 32), evaluation: str = "test"
) -> Path:
    """Write a tree of PNG images, a format that loses nothing, of three classes."""
    random = np.random.default_rng(0)
    for part in ("train", evaluation):
        for name in ("ant", "bee", "cow"):
            (root / part / name).mkdir(parents=True)
            for index in range(per_class):
                pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{index}.png")
    return root
