"""Instruction tuning: the settings of the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.tasks.base import Metric, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.language.objective import Answering


@dataclass(frozen=True, kw_only=True)
class Language(Task):
    """Cross-entropy of the tokens of the answer; negative log-likelihood (nll) and perplexity in testing.

    per_sample: the loss is one a sample, the mean over its answer's tokens; else one a batch, over the
    tokens of all its answers, as language models are trained elsewhere.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answers", "next_tokens"})
    per_sample: bool = True

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("nll", "lower", margin=0.02), Metric("perplexity", "lower"))

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample"} if self.per_sample else ())

    def build(self, data: Data, seed: int) -> Answering:
        from bls_bench.tasks.language.objective import Answering

        return Answering(self, data.info)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.text.showing import sentences

        return sentences(data, indices)
