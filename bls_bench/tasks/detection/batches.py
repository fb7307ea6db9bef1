"""From columns of images, boxes and masks to the batches of detectors, augmented all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bls_bench.data.columns import Column
from bls_bench.data.jitter import Jitter, clipped, kept, of_objects

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Images (b, 3, S, S) float32 in [0, 1], and for each image what is to be found on it.
Batch = tuple["Tensor", list[dict[str, "Tensor"]]]


@dataclass(frozen=True)
class Batches:
    """Make `Batch`es of the columns "images" (b, 3, S, S) uint8, and `Ragged` "boxes" and "labels".

    boxes: float32, x1 y1 x2 y2 in pixels. labels: int64 from 1; 0 is the background. Further ragged columns:
    "masks" (m, S, S) bool, "iscrowd" int64. An object that the jitter moves out of its image is left out.
    """

    jitter: Jitter | None = None

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the jitter's numbers."""
        assert self.jitter is not None
        return self.jitter.draw(count, generator)

    def __call__(self, columns: dict[str, Column], draws: Tensor | None) -> Batch:
        columns = dict(columns)
        images = columns.pop("images")
        if draws is None or self.jitter is None:
            return images.float().div_(255), _by_image(columns)
        size = images.shape[-1]
        rows = of_objects(draws, columns["boxes"])
        boxes, keep = clipped(self.jitter.boxes(columns["boxes"].values, rows, size), size)
        columns["boxes"].values = boxes
        if "masks" in columns:
            masks = columns["masks"]
            masks.values = self.jitter.images(masks.values[:, None], rows, "nearest")[:, 0].bool()
        columns = {name: kept(column, keep) for name, column in columns.items()}
        return self.jitter.images(images, draws).div_(255), _by_image(columns)


def _by_image(columns: dict[str, Any]) -> list[dict[str, Tensor]]:
    names, rows = list(columns), zip(*(column.rows() for column in columns.values()), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]
