"""k-center greedy: cover the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.static.farthest import farthest_first
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class KCenter(ScoringPruner):
    """k-center greedy (Sener & Savarese 2018): always the sample farthest, by features, from all chosen."""

    balanced: bool = True

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        features = observed.features

        def distances(i: int) -> Tensor:
            return (features - features[i]).square_().sum(1)

        return farthest_first(distances, len(features), count, generator), None
