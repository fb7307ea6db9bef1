"""Entropy: keep the widest predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.signals import entropy
from bls_bench.static.observations import Observations
from bls_bench.static.ranking import RankingPruner

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Entropy(RankingPruner):
    """Entropy of the prediction (Coleman et al. 2020)."""

    balanced: bool = True

    def score(self, observed: Observations) -> Tensor:
        return entropy(observed.logits)
