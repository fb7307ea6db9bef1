"""Classification of texts: the settings of the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.signals import SIGNALS
from bls_bench.system.processes import process_rank
from bls_bench.tasks.base import Metric, Task
from bls_bench.tasks.classification.task import METRICS

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.text.data import Texts
    from bls_bench.tasks.text.objective import ClassifyingText


@dataclass(frozen=True, kw_only=True)
class Text(Task):
    """Cross-entropy and top-1 accuracy of an encoder.

    max_length: tokens of a text, the special ones among them; what is longer loses its end, but for the
    very last token, which closes it. label_smoothing: in [0, 1).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text", "classes", "text_logits"})
    max_length: int = 64
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.max_length < 3:
            raise ValueError(f"max_length must be at least 3, got {self.max_length}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return METRICS

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample", "outputs", *SIGNALS})

    def build(self, data: Data, seed: int) -> ClassifyingText:
        from bls_bench.tasks.text.objective import ClassifyingText

        tell_cut(data.info, self.max_length)
        return ClassifyingText(data.info.num_classes, self.label_smoothing, max_length=self.max_length)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.text.showing import sentences

        return sentences(data, indices)


def tell_cut(info: Texts, max_length: int) -> None:
    """Print how many texts are too long, if any are."""
    cut = int((info.lengths > max_length).sum())
    if cut and process_rank()[0] == 0:
        print(
            f"task.max_length={max_length}: {cut} of {len(info.lengths)} texts are cut, "
            f"the longest has {int(info.lengths.max())} tokens"
        )
