"""Pictures of a scene from several known places: what is known of them, and batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bls_bench.data.columns import Column

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Views:
    """The `info` of scenes: height and width of their pictures, and how many views each scene has."""

    height: int
    width: int
    views: int


class ViewBatch(NamedTuple):
    """Scenes with V views each; the depth is that of the first view.

    images: (b, V, 3, H, W) float32 in [-1, 1].
    lenses: (b, V, 4) float32, the focal lengths in x and y and the principal point, in pixels from the outer
    corner of the picture: the centre of the first pixel is at 0.5.
    moves: (b, V - 1, 3, 4) float32, rotation and shift in metres that take a point from the first camera to
    each other one; x points right, y down, z ahead.
    ranges: (b, 2) float32, the least and the largest depth in metres.
    depths: (b, H, W) float32 in metres along z, 0 where it is not known.
    """

    images: Tensor
    lenses: Tensor
    moves: Tensor
    ranges: Tensor
    depths: Tensor


def make_batch(columns: dict[str, Column], draws: Tensor | None) -> ViewBatch:
    """Make a `ViewBatch` of columns of its fields' names, of which "images" are uint8.

    Nothing is augmented: what moves a picture would have to move its camera.
    """
    images = columns["images"].float() / 127.5 - 1
    return ViewBatch(images, *(columns[name] for name in ViewBatch._fields[1:]))


def check_sizes(height: int, width: int, views: int) -> None:
    """Raise ValueError for pictures that are too small, or fewer than two views."""
    for name, value, least in (("height", height, 32), ("width", width, 32), ("views", views, 2)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
