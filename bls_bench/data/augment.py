"""Random augmentation of a whole batch at once, with numbers of its own for every image.

torchvision's v2 transforms draw once per call: given a batch, they would crop all its images alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CropFlip:
    """Pad every side by `padding` pixels (mirrored, else zeros), crop the old size, maybe mirror."""

    padding: int
    reflect: bool
    flip: bool

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the random numbers for `count` images.

        Returns (count, 3) int64: the crop's offset down and to the right, uniform in
        [0, 2 * padding], and whether to mirror, 0 or 1.
        """
        choices = torch.tensor([2 * self.padding + 1, 2 * self.padding + 1, 1 + self.flip])
        return torch.randint(2**40, (count, 3), generator=generator) % choices

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Crop and mirror (b, C, H, W) images of any dtype as the rows of `draws` (b, 3) say."""
        batch, channels, height, width = images.shape
        down, right, mirror = draws.T[..., None]
        # The source row y and column x of each target pixel, (b, H) and (b, W): no padded copy is made.
        y = torch.arange(height, device=images.device) + down - self.padding
        x = torch.arange(width, device=images.device).expand(batch, -1)
        x = torch.where(mirror > 0, width - 1 - x, x) + right - self.padding
        if self.reflect:
            y, x = _mirror(y, height), _mirror(x, width)
        source = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None, :]
        source = source.flatten(1)[:, None].expand(-1, channels, -1)
        pixels = images.flatten(2).gather(2, source).view_as(images)
        if self.reflect:
            return pixels
        inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
        return pixels * inside[:, None]


def _mirror(position: Tensor, size: int) -> Tensor:
    """Bring positions up to size - 1 outside [0, size) back in, mirrored at the border pixel."""
    return (size - 1) - ((size - 1) - position.abs()).abs()


@dataclass(frozen=True)
class ResizedCrop:
    """torchvision's RandomResizedCrop, and maybe a mirror, for square images of side `size`.

    A box of a random area and shape is scaled back up to the whole image, bilinearly. The box is never
    larger than the image, so there is nothing to smooth, and with or without antialiasing is the same.
    """

    size: int
    flip: bool
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the boxes: (count, 5) int64 of top, left, height, width, and whether to mirror."""
        # Ten tries at a box that fits, all at once; a square image's last resort is the whole of it.
        area, shape = torch.rand(2, count, 10, generator=generator, dtype=torch.float64)
        low, high = (torch.tensor(self.ratio, dtype=torch.float64).log()).tolist()
        area = self.size**2 * (self.scale[0] + (self.scale[1] - self.scale[0]) * area)
        shape = (low + (high - low) * shape).exp()
        sides = torch.stack([(area / shape).sqrt(), (area * shape).sqrt()], 2).round().long()
        fits = ((sides > 0) & (sides <= self.size)).all(2)
        first = fits.int().argmax(1)
        sides = torch.where(fits.any(1)[:, None], sides[torch.arange(count), first], self.size)
        place = torch.rand(count, 2, generator=generator, dtype=torch.float64)
        corners = (place * (self.size - sides + 1)).long()
        mirror = torch.randint(1 + self.flip, (count, 1), generator=generator)
        return torch.cat([corners, sides, mirror], 1)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Crop and scale (b, C, size, size) images as the rows of `draws` (b, 5) say; float32 out."""
        top, left, height, width, mirror = draws.float().T[..., None]
        step = (torch.arange(self.size, device=images.device) + 0.5) / self.size
        y = (step * height - 0.5).clamp_min(0).minimum(height - 1) + top
        x = (torch.where(mirror > 0, 1 - step, step) * width - 0.5).clamp_min(0).minimum(width - 1) + left
        # grid_sample counts from -1 at the first pixel's outer edge to 1 at the last one's.
        y, x = ((2 * position + 1) / self.size - 1 for position in (y, x))
        rows, columns = y[:, :, None].expand(-1, -1, self.size), x[:, None, :].expand(-1, self.size, -1)
        return torch.nn.functional.grid_sample(
            images.float(), torch.stack([columns, rows], 3), align_corners=False
        )


@dataclass(frozen=True)
class Cutout:
    """A square of side `side`, its centre anywhere in an image of side `size`, becomes the mean colour."""

    side: int
    size: int

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the centres: (count, 2) int64 of row and column, uniform over the image."""
        return torch.randint(self.size, (count, 2), generator=generator)

    def __call__(self, inputs: Tensor, draws: Tensor) -> Tensor:
        """Set the squares of (b, C, H, W) normalised images to 0, in place; they may reach over the edge."""
        first = (draws - self.side // 2).T[..., None]
        at = torch.arange(self.size, device=inputs.device)
        rows, columns = ((at >= start) & (at < start + self.side) for start in first)
        return inputs.masked_fill_((rows[:, :, None] & columns[:, None, :])[:, None], 0)
