"""Grids of images as PNG files."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

SIDE = 64  # at least so many pixels a cell, so that the smallest images can be looked at


def write_grid(pixels: Tensor, path: Path, columns: int) -> None:
    """Write images (n, C, H, W) of pixels in [0, 1], C 1 or 3, row by row with a thin line between them."""
    zoom = max(-(-SIDE // pixels.shape[-1]), 1)
    cells = (pixels.float().cpu() * 255).round().clamp(0, 255).to(torch.uint8)
    cells = cells.expand(-1, 3, -1, -1).repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
    cells = torch.nn.functional.pad(cells, (1, 1, 1, 1), value=96)
    rows = [torch.cat(list(row), 2) for row in cells.split(columns) if len(row) == columns]
    table = torch.cat(rows, 1).permute(1, 2, 0).contiguous()
    Image.fromarray(table.numpy()).save(path)
