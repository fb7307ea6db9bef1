"""Segmentation: the settings of the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.tasks.base import Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.segmentation.objective import Segmenting


@dataclass(frozen=True, kw_only=True)
class Segmentation(Task):
    """The class of every pixel: cross-entropy and mean intersection over union (mIoU).

    per_sample: the loss is one a picture, the mean over its pixels; else one a batch, over all its pixels.
    Pixels without a class count in neither.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixel_classes", "pixel_logits"})
    per_sample: bool = True

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("mIoU", "higher", "%", margin=1.0),)

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample"} if self.per_sample else ())

    def build(self, data: Data, seed: int) -> Segmenting:
        from bls_bench.tasks.segmentation.objective import Segmenting

        return Segmenting(self, data.info)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.segmentation.objective import annotated

        return annotated(data, indices)
