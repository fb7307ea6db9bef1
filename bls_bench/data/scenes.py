"""Scenes composed from scikit-learn's handwritten digits: real pixels, no files, the same in every run.

Digits of random size, place and colour lie on a shaded, noisy ground and do not overlap. Scenes for training
hold digits that no scene for testing holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bls_bench.data.base import Dataset, check_side
from bls_bench.data.columns import Ragged
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream

if TYPE_CHECKING:
    from torch import Tensor

CLASSES = tuple("0123456789")
# Sides of a digit as shares of the scene's; how often a free place is looked for before one is left out.
SMALLEST, LARGEST, TRIES = 0.2, 0.45, 20
# A pixel belongs to a digit where it covers more of the ground than this.
COVERED = 0.3


@dataclass(frozen=True, kw_only=True)
class SceneDataset(Dataset):
    """`images` scenes to train on and a quarter as many to test on, of side `image_size`.

    A scene holds none to `objects` digits.
    """

    images: int = 480
    image_size: int = 64
    objects: int = 4

    def __post_init__(self) -> None:
        check_side(self.image_size, least=32)
        for name, least in (("images", 4), ("objects", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")


class Scenes(NamedTuple):
    """images: (N, 3, S, S) uint8. boxes: rows (m, 4) float32, x1 y1 x2 y2 in pixels, tight around the masks.

    digits: rows (m,) int64, 0 to 9. masks: rows (m, S, S) bool. Some scenes hold no digit.
    """

    images: Tensor
    boxes: Ragged
    digits: Ragged
    masks: Ragged


def handwritten() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the digits to train on and those to test on, split as dataset=digits does.

    Each is (N, 8, 8) float32 in [0, 1] and (N,) int64.
    """
    # Imported here: it takes as long as torch.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images, targets = torch.from_numpy(digits.images / 16).float(), torch.from_numpy(digits.target).long()
    halves = train_test_split(torch.arange(len(targets)), test_size=0.2, stratify=targets, random_state=0)
    train, test = ((images[half], targets[half]) for half in (part.sort().values for part in halves))
    return train, test


def compose(count: int, size: int, objects: int, train: bool) -> Scenes:
    """Return `count` scenes of side `size` with up to `objects` digits each."""
    glyphs, classes = handwritten()[0 if train else 1]
    made = [
        _scene(glyphs, classes, size, objects, stream(0, "scenes", "train" if train else "test", number))
        for number in range(count)
    ]
    images, boxes, digits, masks = zip(*made, strict=True)
    return Scenes(torch.stack(images), Ragged.of(boxes), Ragged.of(digits), Ragged.of(masks))


def _scene(
    glyphs: Tensor, classes: Tensor, size: int, objects: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return image, boxes, digits and masks of one scene."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    image = ground(size, size, generator)
    boxes, digits, masks = [], [], []
    taken = torch.zeros(size, size, dtype=torch.bool)
    for _ in range(int(torch.randint(objects + 1, (1,), generator=generator))):
        which = int(torch.randint(len(glyphs), (1,), generator=generator))
        side = round(size * (SMALLEST + (LARGEST - SMALLEST) * float(uniform())))
        cover = torch.nn.functional.interpolate(glyphs[which][None, None], (side, side), mode="bilinear")[0]
        colour = 0.55 + 0.45 * uniform(3, 1, 1)
        for top, left in torch.randint(size - side + 1, (TRIES, 2), generator=generator).tolist():
            window = slice(top, top + side), slice(left, left + side)
            if taken[window].any():
                continue
            image[:, *window] = image[:, *window] * (1 - cover) + colour * cover
            taken[window] = True
            mask = torch.zeros(size, size, dtype=torch.bool)
            mask[window] = cover[0] > COVERED
            boxes.append(_around(mask))
            digits.append(classes[which])
            masks.append(mask)
            break
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    if not boxes:
        none = torch.zeros(0, size, size, dtype=torch.bool)
        return pixels, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), none
    return pixels, torch.stack(boxes), torch.stack(digits), torch.stack(masks)


def ground(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Return (3, height, width): a dark colour at each corner, blended, and some noise."""
    corners = 0.5 * torch.rand(1, 3, 2, 2, generator=generator)
    shades = torch.nn.functional.interpolate(corners, (height, width), mode="bilinear", align_corners=True)[0]
    return shades + 0.04 * torch.randn(3, height, width, generator=generator)


def _around(mask: Tensor) -> Tensor:
    """Return the tight box (4,) float32 of a mask (S, S) that is not empty."""
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
