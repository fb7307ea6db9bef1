"""Classification of sounds: the settings of the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.signals import SIGNALS
from bls_bench.tasks.base import Metric, Task
from bls_bench.tasks.classification.task import METRICS

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.classification.objective import Classifying


@dataclass(frozen=True, kw_only=True)
class Audio(Task):
    """Cross-entropy and top-1 accuracy. label_smoothing: in [0, 1)."""

    needs: ClassVar[frozenset[str]] = frozenset({"sound", "classes", "sound_logits"})
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return METRICS

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample", "outputs", *SIGNALS})

    def build(self, data: Data, seed: int) -> Classifying:
        """A batch is (waves, classes): (b, t) float32 and (b,) int64."""
        from bls_bench.tasks.classification.objective import Classifying

        return Classifying(data.info.num_classes, self.label_smoothing)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.audio.showing import sounds

        return sounds(data, indices)
