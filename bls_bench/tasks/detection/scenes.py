"""Scenes of handwritten digits with a box around each: the data that detection comes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.data import scenes
from bls_bench.data.base import Data, Images
from bls_bench.data.columns import Columns
from bls_bench.data.jitter import Jitter
from bls_bench.tasks.detection.batches import Batches

if TYPE_CHECKING:
    import torch

# Digits are not mirrored: that would make other signs of them.
JITTER = Jitter(shift=0.15, scale=(0.85, 1.15), flip=False)


@dataclass(frozen=True, kw_only=True)
class Scenes(scenes.SceneDataset):
    """`images` scenes to train on and a quarter as many to test on, of side `image_size`.

    A scene holds none to `objects` digits. masks: give their masks too.
    """

    name: str = "scenes"
    masks: bool = False

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"images", "boxes", *(("masks",) if self.masks else ())})

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        return Data(
            train=self._split(self.images, seed, train=True),
            test=self._split(self.images // 4, seed, train=False),
            info=Images(3, self.image_size, scenes.CLASSES),
        )

    def _split(self, count: int, seed: int, train: bool) -> Columns:
        made = scenes.compose(count, self.image_size, self.objects, train)
        labels = made.digits.with_values(made.digits.values + 1)
        columns = {"images": made.images, "boxes": made.boxes, "labels": labels}
        make = Batches(JITTER if train else None)
        return Columns(
            columns | ({"masks": made.masks} if self.masks else {}),
            make,
            seed,
            make.draw if train else None,
        )
