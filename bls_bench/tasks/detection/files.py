"""The base of data sets of pictures with boxes; each format says how its annotations are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bls_bench.data.base import Data
from bls_bench.data.decoding import tell_depth
from bls_bench.data.jitter import Jitter
from bls_bench.data.letterbox import Letterbox
from bls_bench.data.pictures import Pictures, existing
from bls_bench.system.errors import InputError
from bls_bench.tasks.detection.annotations import Annotated, AnnotatedReader, Checked
from bls_bench.tasks.detection.batches import Batches

if TYPE_CHECKING:
    import torch
    from torch import Tensor

JITTER = Jitter(shift=0.1, scale=(0.75, 1.25), flip=True)
INVALID = ("refuse", "drop")
# Objects of an image, about, for the memory that masks take.
OBJECTS = 8


@dataclass(frozen=True, kw_only=True)
class BoxPictures(Pictures):
    """Pictures with boxes, and maybe masks (`masks`).

    Pictures without objects are trained on as background; crowds are left out of training and count
    neither as found nor as missed. invalid: refuse or drop boxes without area or outside their picture.
    """

    masks: bool = False
    invalid: str = "refuse"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.invalid not in INVALID:
            raise ValueError(f"invalid must be one of {', '.join(INVALID)}, got {self.invalid!r}")

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"images", "boxes", *(("masks",) if self.masks else ())})

    def annotations(
        self, root: Path, checked: Checked
    ) -> tuple[Sequence[Annotated], Sequence[Annotated], tuple[str, ...]]:
        """Return the pictures to train and to test on, and the names of the classes."""
        raise NotImplementedError

    def draw(self, picture: Annotated, box: Letterbox) -> Tensor:
        """Return the masks (m, size, size) bool of a picture."""
        raise NotImplementedError

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        checked = Checked(self.invalid)
        train, test, classes = self.annotations(existing(self.root), checked)
        if test and not any(len(one.labels) for one in test):
            raise InputError(f"dataset.root={self.root} has no object on its {len(test)} pictures to test on")
        if checked.dropped:
            print(f"dataset.invalid=drop: {checked.dropped} boxes are left out")
        tell_depth([str(one.path) for one in (*train, *test)])
        draw, make = self.draw if self.masks else None, Batches(JITTER)
        return self._loaded(
            (
                AnnotatedReader(train, self.image_size, draw),
                AnnotatedReader(test, self.image_size, draw, crowds=True),
            ),
            (make, Batches()),
            make.draw,
            self.image_size**2 * (3 + OBJECTS * self.masks),
            classes,
            seed,
            device,
        )
