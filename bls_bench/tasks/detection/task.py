"""Detection and instance segmentation: the settings of the tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.tasks.base import Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.detection.objective import Detecting


@dataclass(frozen=True, kw_only=True)
class Detection(Task):
    """Boxes around objects and their classes; the detector's own losses, summed, and COCO's mAP.

    Detectors normalise their losses by the objects of the whole batch, so no sample has a loss of its own.
    """

    requires: ClassVar[tuple[str, ...]] = ("torchmetrics", "faster_coco_eval")
    extra: ClassVar[str] = "detection"
    needs: ClassVar[frozenset[str]] = frozenset({"boxes", "detections"})

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return _precisions("")

    def build(self, data: Data, seed: int) -> Detecting:
        from bls_bench.tasks.detection.objective import Detecting

        return Detecting(data.info)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.detection.drawing import annotated

        return annotated(data, indices)


@dataclass(frozen=True, kw_only=True)
class InstanceSegmentation(Detection):
    """Boxes around objects, their classes and their masks; COCO's mAP of masks, and of boxes beside it."""

    needs: ClassVar[frozenset[str]] = frozenset({"boxes", "masks", "detections", "outlines"})

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return _precisions("mask_") + _precisions("")

    def build(self, data: Data, seed: int) -> Detecting:
        from bls_bench.tasks.detection.objective import Detecting

        return Detecting(data.info, masks=True)


def _precisions(prefix: str) -> tuple[Metric, ...]:
    return tuple(Metric(f"{prefix}{name}", "higher", "%", margin=1.0) for name in ("mAP50-95", "mAP50"))
