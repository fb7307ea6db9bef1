"""Influence: keep the samples that move the last layer most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.selection import largest
from bls_bench.static.influence import influences
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Influence(ScoringPruner):
    """Influence (Koh & Liang 2017): keep the samples that move the last layer most, ||H^-1 g_i||."""

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        left, right = influences(observed)
        return largest(left.norm(dim=1) * right.norm(dim=1), count, generator), None
