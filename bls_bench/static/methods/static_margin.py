"""Margin: keep what lies between two classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.signals import margin
from bls_bench.static.observations import Observations
from bls_bench.static.ranking import RankingPruner

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Margin(RankingPruner):
    """Margin (Coleman et al. 2020): 1 - (p_1 - p_2), of the two highest probabilities."""

    balanced: bool = True

    def score(self, observed: Observations) -> Tensor:
        return margin(observed.logits)
