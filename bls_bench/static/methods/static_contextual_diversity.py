"""Contextual diversity: cover the predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.static.farthest import farthest_first
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class ContextualDiversity(ScoringPruner):
    """Contextual diversity (Agarwal et al. 2020): k-center greedy on predictions.

    The distance of two samples is (KL(p || q) + KL(q || p)) / 2.
    """

    copies: ClassVar[int] = 4
    balanced: bool = True

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        logs = observed.logits.log_softmax(1)
        p = logs.exp()

        def distances(i: int) -> Tensor:
            return (p - p[i]).mul_(logs - logs[i]).sum(1) / 2

        return farthest_first(distances, len(p), count, generator), None
