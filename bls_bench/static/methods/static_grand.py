"""GraNd: keep the largest gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.static.observations import Observations
from bls_bench.static.ranking import RankingPruner

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class GraNd(RankingPruner):
    """GraNd (Paul et al. 2021, Eq. 2) in the last layer, of one scoring run: ||p - y|| * ||(h, 1)||."""

    balanced: bool = True

    def score(self, observed: Observations) -> Tensor:
        left, right = observed.gradients()
        return left.norm(dim=1) * right.norm(dim=1)
