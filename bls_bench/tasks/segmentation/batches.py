"""From columns of images and class maps to batches, augmented all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.data.columns import Column
from bls_bench.data.jitter import Jitter

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# The value of pixels without a class, in every data set once it is read.
IGNORED = 255

# Images (b, 3, S, S) float32 in [0, 1], and the classes of their pixels (b, S, S) int64, or IGNORED.
Batch = tuple["Tensor", "Tensor"]


@dataclass(frozen=True)
class PixelBatches:
    """Make `Batch`es of the columns "images" (b, 3, S, S) and "classes" (b, S, S), both uint8.

    What the jitter brings into an image from outside has no class.
    """

    jitter: Jitter | None = None

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the jitter's numbers."""
        assert self.jitter is not None
        return self.jitter.draw(count, generator)

    def __call__(self, columns: dict[str, Column], draws: Tensor | None) -> Batch:
        images, classes = columns["images"].float(), columns["classes"]
        if draws is not None and self.jitter is not None:
            images = self.jitter.images(images, draws)
            # One higher, so that the 0 which comes in from outside is no class; 255 becomes 0 too.
            moved = self.jitter.images((classes + 1)[:, None], draws, "nearest")[:, 0]
            classes = moved.to(classes.dtype) - 1
        return images / 255, classes.long()
