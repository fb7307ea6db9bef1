"""Random crop and flip of a whole batch at once, with numbers of its own for every image.

torchvision's v2 transforms draw once per call: given a batch, they would crop all its images alike.
"""

from dataclasses import dataclass

import torch
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
        down, right, mirror = (draws - torch.tensor([self.padding, self.padding, 0]).to(draws)).T[..., None]
        # The source row y and column x of each target pixel, (b, H) and (b, W): no padded copy is made.
        y = torch.arange(height, device=images.device) + down
        x = torch.arange(width, device=images.device).expand(batch, -1)
        x = torch.where(mirror > 0, width - 1 - x, x) + right
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
