"""BLS of batch losses less their running mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.pruner import check_fraction
from bls_bench.pruning.running_mean import RunningMeanScorer
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class BLSCentered(RunningMeanScorer):
    """BLS of batch losses less their running mean: ours, not the paper's. All start at 0."""

    alpha: float = 0.9

    def __post_init__(self) -> None:
        check_fraction("alpha", self.alpha)

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        losses = visits.per_sample(self.batch_losses_less_mean(visits))
        scores.nan_to_num_(0)
        old = scores.index_select(0, visits.indices)
        scores.scatter_(0, visits.indices, losses.lerp_(old, self.alpha))
