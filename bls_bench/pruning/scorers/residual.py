"""What a batch's scores did not predict of its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.running_mean import RunningMeanScorer
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class ResidualScore(RunningMeanScorer):
    """Credit a batch's samples with what their scores did not predict: ours, not the paper's.

    r = (L - c) - mean of s_j over the batch, then s_i <- s_i + eta * r for the batch's samples.
    """

    eta: float = 1.0

    def __post_init__(self) -> None:
        if not self.eta > 0:
            raise ValueError(f"eta must be above 0, got {self.eta}")

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        old = scores.nan_to_num_(0).index_select(0, visits.indices)
        residual = self.batch_losses_less_mean(visits) - visits.batch_means(old)
        scores.scatter_(0, visits.indices, old + self.eta * visits.per_sample(residual))
