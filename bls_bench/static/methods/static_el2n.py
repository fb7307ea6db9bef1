"""EL2N: keep the largest errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.signals import error_norm
from bls_bench.static.observations import Observations
from bls_bench.static.ranking import RankingPruner

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class EL2N(RankingPruner):
    """EL2N (Paul et al. 2021, Eq. 3), of one scoring run: ||p - y||."""

    def score(self, observed: Observations) -> Tensor:
        return error_norm(observed.logits, observed.targets)
