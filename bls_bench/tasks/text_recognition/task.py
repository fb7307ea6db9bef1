"""Recognition of text: the settings of the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Metric, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.text_recognition.objective import Recognising


@dataclass(frozen=True, kw_only=True)
class TextRecognition(Task):
    """The loss of the model's own kind, for each letter, and the share of words that are read rightly.

    per_sample: the loss is one a word, else one a batch. benchmarks: the names of the sets that the data set
    tests on; where there are several, each has a metric of its own beside that of all their words.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"words", "word_logits"})
    per_sample: bool = True
    benchmarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [metric_of(name) for name in self.benchmarks]
        if twice := [name for name in self.benchmarks if names.count(metric_of(name)) > 1]:
            raise ValueError(f"benchmarks must end in different names, got {twice}")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        names = ["word_accuracy", *(metric_of(name) for name in self.benchmarks if len(self.benchmarks) > 1)]
        return tuple(Metric(name, "higher", "%", margin=1.0) for name in names)

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample"} if self.per_sample else ())

    def build(self, data: Data, seed: int) -> Recognising:
        from bls_bench.tasks.text_recognition.objective import Recognising

        if tuple(self.benchmarks) != data.info.benchmarks:
            raise InputError(
                f"task.benchmarks={list(self.benchmarks)} must be those of the data set, "
                f"{list(data.info.benchmarks)}"
            )
        return Recognising(self, data.info)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.text_recognition.showing import lettered

        return lettered(data, indices)


def metric_of(benchmark: str) -> str:
    """Return the name of the metric of one set, which may be named by a folder within others."""
    return f"word_accuracy_{benchmark.rstrip('/').rpartition('/')[2]}"
