"""Planes that face a camera, and how another camera sees them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# What is nearer than this to a camera, in metres, or behind it, is not seen.
NEAREST = 1e-3
# A place outside every picture, whose sides are -1 and 1.
OUTSIDE = 2.0


def planes(ranges: Tensor, count: int) -> Tensor:
    """Return depths (b, count) from the least to the largest of ranges (b, 2), evenly spaced in 1 / depth.

    So a step moves what another camera sees by about the same, near and far.
    """
    steps = torch.linspace(0, 1, count, device=ranges.device)
    inverse = 1 / ranges.float()
    return 1 / (inverse[:, :1] + (inverse[:, 1:] - inverse[:, :1]) * steps)


def rays(lenses: Tensor, height: int, width: int) -> Tensor:
    """Return (b, 3, height * width): the points at depth 1 that the pixels of cameras (b, 4) see."""
    down = torch.arange(height, device=lenses.device) + 0.5
    right = torch.arange(width, device=lenses.device) + 0.5
    x = ((right - lenses[:, 2:3]) / lenses[:, 0:1])[:, None, :].expand(-1, height, -1)
    y = ((down - lenses[:, 3:4]) / lenses[:, 1:2])[:, :, None].expand(-1, -1, width)
    return torch.stack([x, y, torch.ones_like(x)], 1).flatten(2)


def warp(features: Tensor, lenses: tuple[Tensor, Tensor], move: Tensor, depths: Tensor) -> Tensor:
    """Return what another camera sees at the pixels of the first, were they at each of some depths.

    This is the homography of each plane (Yao et al. 2018, MVSNet, equation 1), point by point.
    features: (b, C, h, w), of the other camera. lenses: (b, 4) of the first and of the other, in pixels of
    the features. move: (b, 3, 4) from the first to the other. depths: (b, D), or (b, D, h * w) where each
    pixel has its own.
    Returns (b, C, D, h, w), bilinear between the features, 0 where the other camera sees nothing.
    """
    size, count = features.shape[-2:], depths.shape[1]
    own, other = lenses
    # Rounded to 16 bits, a place would be off by pixels.
    with torch.autocast(features.device.type, enabled=False):
        turned = move[:, :, :3].float() @ rays(own.float(), *size)
        if depths.dim() == 2:
            depths = depths[..., None]
        points = depths[:, :, None] * turned[:, None] + move[:, None, :, 3:]
        x, y, z = points.unbind(2)
        scale = other[:, None, None].float()
        seen = z > NEAREST
        z = z.clamp_min(NEAREST)
        right = 2 * (x / z * scale[..., 0] + scale[..., 2]) / size[1] - 1
        down = 2 * (y / z * scale[..., 1] + scale[..., 3]) / size[0] - 1
        grid = torch.stack([right, down], 3).where(seen[..., None], OUTSIDE)
        found = F.grid_sample(features.float(), grid, align_corners=False)
    return found.view(*features.shape[:2], count, *size)
