"""Least confidence: keep the least certain predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.signals import confidence
from bls_bench.static.observations import Observations
from bls_bench.static.ranking import RankingPruner

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class LeastConfidence(RankingPruner):
    """Least confidence (Coleman et al. 2020): 1 - p_1, of the highest probability."""

    balanced: bool = True

    def score(self, observed: Observations) -> Tensor:
        return confidence(observed.logits)
