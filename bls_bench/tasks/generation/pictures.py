"""Grids of images as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SIDE = 64  # at least so many pixels a cell, so that the smallest images can be looked at


def write_grid(pixels: Tensor, path: Path, columns: int) -> None:
    """Write images (n, C, H, W) of pixels in [0, 1], C 1 or 3, row by row with a thin line between them."""
    _write(pixels.split(columns), path, columns)


def write_rows(above: Tensor, below: Tensor, path: Path, columns: int) -> None:
    """Write two lots of images (n, C, H, W) as one grid: each row of the first above that of the second."""
    pairs = zip(above.split(columns), below.split(columns), strict=True)
    _write([row for pair in pairs for row in pair], path, columns)


def _write(rows: Sequence[Tensor], path: Path, columns: int) -> None:
    """A row may be short."""
    zoom = max(-(-SIDE // rows[0].shape[-1]), 1)
    stripes = []
    for row in rows:
        cells = (row.float().cpu() * 255).round().clamp(0, 255).to(torch.uint8)
        cells = cells.expand(-1, 3, -1, -1).repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
        cells = F.pad(cells, (1, 1, 1, 1), value=96)
        stripe = torch.cat(list(cells), 2)
        stripes.append(F.pad(stripe, (0, columns * cells.shape[3] - stripe.shape[2])))
    table = torch.cat(stripes, 1).permute(1, 2, 0).contiguous()
    Image.fromarray(table.numpy()).save(path)
