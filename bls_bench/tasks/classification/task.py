"""Classification into one of several classes: the settings of the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.signals import SIGNALS
from bls_bench.tasks.base import Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.classification.objective import Classifying


METRICS = (Metric("accuracy", "higher", "%", margin=0.5), Metric("balanced_accuracy", "higher", "%"))


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Cross-entropy; top-1 accuracy, of all samples and as the mean of the classes.

    label_smoothing: in [0, 1). mixup, cutmix: the parameters of their Beta distributions, 0 for none.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"classes", "logits"})
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")
        for name in ("mixup", "cutmix"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a number of at least 0, got {getattr(self, name)}")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return METRICS

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    @property
    def gives(self) -> frozenset[str]:
        """Mixed samples have no signals of their own; their losses are rebuilt."""
        return frozenset({"per_sample", "outputs", *(() if self.mixes else SIGNALS)})

    @property
    def batch_multiple(self) -> int:
        """Samples are mixed in pairs."""
        return 2 if self.mixes else 1

    def plain(self) -> Classification:
        """The same task on the samples as they are."""
        return replace(self, mixup=0.0, cutmix=0.0)

    def build(self, data: Data, seed: int) -> Classifying:
        from bls_bench.tasks.classification.mixing import Mixing
        from bls_bench.tasks.classification.objective import Classifying

        classes = data.info.num_classes
        mixing = Mixing(self.mixup, self.cutmix, classes) if self.mixes else None
        return Classifying(classes, self.label_smoothing, mixing)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.showing import images

        return images(data, indices)
