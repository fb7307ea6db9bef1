"""Images: the data set's own crop as the weak view, RandAugment and Cutout on top as the strong one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from bls_bench.data.augment import CropFlip, Cutout, ResizedCrop
from bls_bench.data.base import Data, Images
from bls_bench.data.split import BatchSplit
from bls_bench.system.errors import InputError
from bls_bench.tasks.semisupervised.kinds import Kind, Tensors

if TYPE_CHECKING:
    from torch import Tensor

GREY = (0.299, 0.587, 0.114)
COLOURS = 8
# Turn, shear along x and y, shift along x and y.
MOVES = 5
ROUNDS = 2
# How far at most: radians, slopes and shares of half the side.
FURTHEST = (torch.pi / 6, 0.3, 0.3, 0.6, 0.6)


def kind(data: Data) -> Kind:
    """Raise InputError for images that are not augmented as whole batches."""
    split = data.train
    if not isinstance(split, BatchSplit):
        raise InputError("task.views=images needs a data set whose images are augmented as whole batches")
    weak = Weak(data.info, split.pixels.augment)
    return Kind(Tensors(), weak, Strong(weak, Cutout(data.info.image_size // 2, data.info.image_size)))


@dataclass(frozen=True)
class Weak:
    """The random crop that the data set has, if it has one."""

    info: Images
    crop: CropFlip | ResizedCrop | None

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.zeros(count, 0) if self.crop is None else self.crop.draw(count, generator)

    def __call__(self, inputs: Tensor, draws: Tensor) -> Tensor:
        return self.normalised(self.pixels(inputs, draws))

    def pixels(self, inputs: Tensor, draws: Tensor) -> Tensor:
        """Return the pixels in [0, 1] of the crops of normalised (b, C, H, W) images."""
        pixels = self.info.pixels(inputs)
        return pixels if self.crop is None else self.crop(pixels, draws.long())

    def normalised(self, pixels: Tensor) -> Tensor:
        mean, std = (pixels.new_tensor(values)[:, None, None] for values in (self.info.mean, self.info.std))
        return (pixels - mean) / std


@dataclass(frozen=True)
class Strong:
    """The weak view, then two operations at random (RandAugment, Cubuk et al. 2020), then Cutout.

    As in FixMatch (Sohn et al. 2020, Appendix D) each has a random strength; left out of its list is
    equalising the histogram.
    """

    weak: Weak
    cutout: Cutout

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return (count, 8 + ...) float32: which operation and how strong, twice each; square; crop."""
        parts = (self.cutout.draw(count, generator), self.weak.draw(count, generator))
        which = torch.rand(count, 2 * ROUNDS, generator=generator)
        return torch.cat([which, *(part.float() for part in parts)], 1)

    def __call__(self, inputs: Tensor, draws: Tensor) -> Tensor:
        which, square, crop = draws.tensor_split((2 * ROUNDS, 2 * ROUNDS + 2), 1)
        pixels = self.weak.pixels(inputs, crop)
        for choice, strength in which.reshape(-1, ROUNDS, 2).permute(1, 2, 0):
            pixels = changed(pixels, choice, strength)
        return self.cutout(self.weak.normalised(pixels), square.long())


def changed(pixels: Tensor, choice: Tensor, strength: Tensor) -> Tensor:
    """Give each of (b, C, H, W) images in [0, 1] one of the operations, all as likely.

    choice, strength: (b,) in [0, 1).
    """
    number = (choice * (COLOURS + MOVES)).long()
    result = moved(pixels, number - COLOURS, 2 * strength - 1)
    for at, coloured in enumerate(recoloured(pixels, strength[:, None, None, None])):
        result = torch.where((number == at)[:, None, None, None], coloured, result)
    return result


def recoloured(pixels: Tensor, strength: Tensor) -> list[Tensor]:
    """Return the images after each of the COLOURS operations; strength (b, 1, 1, 1) in [0, 1)."""
    factor = 0.05 + 0.9 * strength
    channels = pixels.shape[1]
    weights = pixels.new_tensor(GREY if channels == 3 else [1 / channels] * channels)
    grey = (pixels * weights[:, None, None]).sum(1, keepdim=True)
    level = grey.mean((2, 3), keepdim=True)
    soft = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    low, high = pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True)
    steps = 2 ** (4 + (4 * strength).floor()) - 1
    return [
        pixels,
        pixels * factor,  # brightness
        level + (pixels - level) * factor,  # contrast
        grey + (pixels - grey) * factor,  # colour
        soft + (pixels - soft) * factor,  # sharpness
        (pixels * steps).round() / steps,  # fewer levels
        torch.where(pixels < strength, pixels, 1 - pixels),  # the brighter ones inverted
        torch.where(high > low, (pixels - low) / (high - low).clamp_min(1e-6), pixels),  # full contrast
    ]


def moved(pixels: Tensor, which: Tensor, strength: Tensor) -> Tensor:
    """Move each image by operation `which` (b,) of MOVES, for others not at all; strength (b,) in [-1, 1)."""
    chosen = (which[:, None] == torch.arange(MOVES, device=pixels.device)).float()
    turn, shear_x, shear_y, right, down = (chosen * strength[:, None] * pixels.new_tensor(FURTHEST)).T
    cos, sin = turn.cos(), turn.sin()
    rows = torch.stack(
        [torch.stack([cos, shear_x - sin, right], 1), torch.stack([shear_y + sin, cos, down], 1)], 1
    )
    grid = F.affine_grid(rows, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False)
