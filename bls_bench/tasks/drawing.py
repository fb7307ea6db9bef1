"""Pictures of what a model does with images, for the record of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.utils import make_grid, save_image

# The least side of an image in a picture.
SIDE = 192


def enlarged(image: Tensor) -> tuple[Tensor, int]:
    """Return (3, T, T) uint8 on the CPU of a (3, S, S) image in [0, 1], and the whole factor T / S."""
    factor = -(-SIDE // image.shape[-1])
    pixels = (image.cpu().clamp(0, 1) * 255).to(torch.uint8)
    return pixels.repeat_interleave(factor, 1).repeat_interleave(factor, 2), factor


def write_rows(rows: Sequence[Sequence[Tensor]], path: Path) -> None:
    """Write rows of (3, T, T) uint8 images, all of them as long, below each other."""
    grid = make_grid([image.float() / 255 for row in rows for image in row], nrow=len(rows[0]), pad_value=1.0)
    save_image(grid, path)
