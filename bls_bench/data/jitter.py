"""Random scale, place and mirror of whole batches of images, with the boxes and masks that lie on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.data.columns import Ragged
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

# What is left of a box that is cut by the edge: less than this share of it, and it is left out.
VISIBLE = 0.25


@dataclass(frozen=True)
class Jitter:
    """Scale square images about their centre, shift them, and maybe mirror them.

    A point (x, y), counted from the image's centre, goes to scale * (x, y) + shift; then x may change its
    sign. shift: the largest, as a share of the side. scale: the smallest and the largest. What comes into the
    image from outside is 0.
    """

    shift: float
    scale: tuple[float, float]
    flip: bool

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw (count, 4) float32: scale, shift right and down as shares of the side, mirrored (1) or not."""
        scale, right, down, mirror = torch.rand(4, count, generator=generator)
        low, high = self.scale
        shifts = ((2 * move - 1) * self.shift for move in (right, down))
        return torch.stack([low + (high - low) * scale, *shifts, (mirror < 0.5 * self.flip).float()], 1)

    def images(self, images: Tensor, draws: Tensor, mode: str = "bilinear") -> Tensor:
        """Move (b, C, S, S) images as the rows of draws (b, 4) say; float32 out. There may be none."""
        if not len(images):
            return images.float()
        scale, right, down, mirror = draws.T
        sign, none = 1 - 2 * mirror, torch.zeros_like(scale)
        # Where each pixel comes from, with the image from -1 to 1: the way back.
        rows = torch.stack(
            [
                torch.stack([sign / scale, none, -2 * right / scale], 1),
                torch.stack([none, 1 / scale, -2 * down / scale], 1),
            ],
            1,
        )
        functional = torch.nn.functional
        grid = functional.affine_grid(rows, [len(images), 1, *images.shape[-2:]], align_corners=False)
        return functional.grid_sample(images.float(), grid, mode=mode, align_corners=False)

    def boxes(self, boxes: Tensor, draws: Tensor, size: int) -> Tensor:
        """Move (M, 4) boxes x1 y1 x2 y2, in pixels of images of side `size`, each by its row; not clipped."""
        scale, right, down, mirror = draws.T[..., None]
        centre = size / 2
        x = (boxes[:, 0::2] - centre) * scale + right * size
        y = (boxes[:, 1::2] - centre) * scale + down * size + centre
        x = torch.where(mirror > 0, -x.flip(1), x) + centre
        return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)


def of_objects(draws: Tensor, boxes: Ragged) -> Tensor:
    """Return for each of the M objects the row of its image, (M, k), from the rows (b, k) of the images."""
    return draws.repeat_interleave(boxes.lengths, 0, output_size=len(boxes.values))


def clipped(boxes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Cut (M, 4) boxes at the edges of their images; returns them and (M,) bool, those that still count."""
    inside = boxes.clamp(0, size)
    sides = inside[:, 2:] - inside[:, :2]
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    # A box narrower than a pixel is no box to detectors.
    return inside, (sides.prod(1) >= VISIBLE * whole) & (sides >= 1).all(1)


def kept(column: Ragged, keep: Tensor) -> Ragged:
    """Return the rows with those of their values that (M,) bool `keep` names."""
    before = torch.cat([column.starts.new_zeros(1), keep.cumsum(0)])
    return Ragged(column.values[keep], before[column.starts])
