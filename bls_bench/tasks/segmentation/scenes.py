"""Scenes of handwritten digits with a class for every pixel: the data that segmentation comes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data import scenes
from bls_bench.data.base import Data, Images
from bls_bench.data.columns import Columns
from bls_bench.data.jitter import Jitter
from bls_bench.tasks.segmentation.batches import PixelBatches

if TYPE_CHECKING:
    import torch
    from torch import Tensor

JITTER = Jitter(shift=0.15, scale=(0.85, 1.15), flip=False)


@dataclass(frozen=True, kw_only=True)
class ScenePixels(scenes.SceneDataset):
    """`images` scenes to train on and a quarter as many to test on, of side `image_size`.

    A scene holds none to `objects` digits. Class 0 is the ground, class 1 + d the pixels of a digit d.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"images", "pixel_classes"})
    name: str = "scene_pixels"

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        return Data(
            train=self._split(self.images, seed, train=True),
            test=self._split(self.images // 4, seed, train=False),
            info=Images(3, self.image_size, ("ground", *scenes.CLASSES)),
        )

    def _split(self, count: int, seed: int, train: bool) -> Columns:
        made = scenes.compose(count, self.image_size, self.objects, train)
        make = PixelBatches(JITTER if train else None)
        columns = {"images": made.images, "classes": _classes(made)}
        return Columns(columns, make, seed, make.draw if train else None)


def _classes(made: scenes.Scenes) -> Tensor:
    """Return (N, S, S) uint8; the masks of a scene do not overlap."""
    painted = made.masks.values * (made.digits.values + 1)[:, None, None]
    classes = painted.new_zeros(len(made.images), *painted.shape[1:])
    scene = made.masks.lengths.new_tensor(range(len(made.images))).repeat_interleave(made.masks.lengths)
    return classes.index_add(0, scene, painted).to(made.images.dtype)
