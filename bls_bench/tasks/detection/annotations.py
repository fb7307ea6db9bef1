"""What is on a picture, checked before training, and read into columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bls_bench.data.decoding import decode
from bls_bench.data.letterbox import Letterbox
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

# Pixels by which a box may reach over the edge, as rounding does in COCO; it is cut there.
TOLERANCE = 1.0


class Thing(NamedTuple):
    """One object of an annotation, as its file tells it.

    what: how messages name it. box: x1 y1 x2 y2 in pixels. label: from 1. outline: what its mask is drawn
    from, in the words of its format. crowd: it stands for many and counts neither as found nor as missed.
    """

    what: str
    box: tuple[float, float, float, float]
    label: int
    crowd: bool = False
    outline: object = None


@dataclass(frozen=True)
class Annotated:
    """A picture and what is on it.

    boxes: (m, 4) float32 in pixels of the file. labels, iscrowd: (m,) int64. outlines: m of them.
    """

    path: Path
    width: int
    height: int
    boxes: Tensor
    labels: Tensor
    iscrowd: Tensor
    outlines: tuple[object, ...]

    def without_crowds(self) -> Annotated:
        """Return the same without what cannot be trained on."""
        if not self.iscrowd.any():
            return self
        keep = self.iscrowd == 0
        outlines = tuple(one for one, kept in zip(self.outlines, keep.tolist(), strict=True) if kept)
        picture = self.path, self.width, self.height
        return Annotated(*picture, self.boxes[keep], self.labels[keep], self.iscrowd[keep], outlines)


@dataclass
class Checked:
    """Makes `Annotated` of the things of a picture. dropped: how many it has left out so far.

    invalid: what happens to a box that is no box: "refuse" or "drop".
    """

    invalid: str
    dropped: int = 0

    def __call__(self, path: Path, width: int, height: int, things: Sequence[Thing]) -> Annotated:
        """Raise InputError, naming the thing, for a box without area, or outside the picture."""
        kept = []
        for thing in things:
            fault = _fault(thing.box, width, height)
            if fault and self.invalid == "refuse":
                raise InputError(
                    f"{thing.what}: the box {[round(value, 2) for value in thing.box]} {fault}: mend it, or "
                    "leave such boxes out with dataset.invalid=drop"
                )
            if fault:
                self.dropped += 1
            else:
                kept.append(thing)
        boxes = torch.tensor([thing.box for thing in kept], dtype=torch.float32).view(-1, 4)
        return Annotated(
            path,
            width,
            height,
            boxes.clamp(torch.zeros(4), torch.tensor([width, height] * 2)),
            torch.tensor([thing.label for thing in kept], dtype=torch.int64),
            torch.tensor([int(thing.crowd) for thing in kept], dtype=torch.int64),
            tuple(thing.outline for thing in kept),
        )


def _fault(box: tuple[float, float, float, float], width: int, height: int) -> str | None:
    left, top, right, bottom = box
    if not (right > left and bottom > top):  # NaN too
        return "has no area"
    if min(left, top) < -TOLERANCE or right > width + TOLERANCE or bottom > height + TOLERANCE:
        return f"lies outside its image of {width}x{height} pixels"
    return None


def label_of(name: str, classes: Sequence[str], what: str) -> int:
    """Return the label of a class, from 1. Raises InputError for one that is unknown."""
    if name not in classes:
        raise InputError(f"{what}: {name!r} is no class, allowed are {', '.join(classes)}")
    return classes.index(name) + 1


@dataclass(frozen=True)
class AnnotatedReader:
    """Reads `Annotated` pictures as columns in a square of side `size`.

    draw: makes masks (m, size, size) bool of the outlines of a picture; None leaves masks out.
    """

    pictures: Sequence[Annotated]
    size: int
    draw: Callable[[Annotated, Letterbox], Tensor] | None
    crowds: bool = False

    @property
    def ragged(self) -> frozenset[str]:
        return frozenset({"boxes", "labels", "iscrowd", "masks"})

    def __len__(self) -> int:
        return len(self.pictures)

    def __call__(self, index: int) -> dict[str, Tensor]:
        """See `Reader`; raises InputError for a picture of another size than its annotation says."""
        one = self.pictures[index] if self.crowds else self.pictures[index].without_crowds()
        box = Letterbox(one.width, one.height, self.size)

        def fitted(picture: Image.Image) -> Tensor:
            if picture.size != (one.width, one.height):
                raise ValueError(
                    f"it has {picture.width}x{picture.height} pixels, its annotation says "
                    f"{one.width}x{one.height}"
                )
            return box.image(picture)

        columns = {
            "images": decode(str(one.path), fitted),
            "boxes": box.boxes(one.boxes),
            "labels": one.labels,
            "iscrowd": one.iscrowd,
        }
        return columns if self.draw is None else columns | {"masks": self.draw(one, box)}
