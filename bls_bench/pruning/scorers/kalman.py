"""A diagonal Kalman filter on batch losses, with forgetting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bls_bench.pruning.running_mean import RunningMeanScorer
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


# The least variance a batch loss counts with, of samples whose variance starts at 1: below it nothing is left
# to learn, and rounding must not be divided by.
LEAST_VARIANCE = 1e-12


@dataclass(kw_only=True)
class KalmanScore(RunningMeanScorer):
    """How far each sample's loss lies above the mean, filtered from batch losses: ours, not the papers'.

    The model: a sample's loss is c + x_i, c the mean that all share, x_i of variance 1 (in a unit that drops
    out) and with a memory of `memory` epochs: x_i <- rho x_i + noise, rho = exp(-1 / memory). A batch's loss
    is c plus the mean of its x_i, plus noise of variance `noise` / B. The filter is diagonal: it keeps a
    mean s_i, the score, and a variance p_i a sample, and no covariances, which would cost O(N^2).

    An epoch for all samples, visited or not: s_i <- rho s_i, p_i <- rho^2 p_i + 1 - rho^2. Then for those of
    a batch, with r = (L - mean of s_j) - c and S = mean of p_j + noise:
    s_i <- s_i + p_i / S * r, p_i <- p_i - p_i^2 / (B S). c is the running mean of L - mean of s_j, so that
    an epoch of hard samples does not count as a rise of the level.

    All start at s = 0, p = 1. A sample left out drifts back to 0, so no score tells when it was last seen.
    memory: above 0, in epochs. noise: at least 0, as a multiple of the variance of x_i.
    """

    memory: float = 100.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not self.memory > 0:
            raise ValueError(f"memory must be above 0 epochs, got {self.memory}")
        if not self.noise >= 0:
            raise ValueError(f"noise must be at least 0, got {self.noise}")
        self._variance: Tensor | None = None  # (N,) float32, p_i; None before the first epoch

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        own, spread = self.drifted(scores, visits)
        unexplained = visits.batch_losses - visits.batch_means(own)
        residual = self.less_mean(unexplained, visits.batches_per_process)
        self.correct(scores, own, spread, residual, visits)

    @property
    def rho(self) -> float:
        """What an epoch leaves of a score."""
        return torch.tensor(-1 / self.memory).exp().item()

    def drifted(self, scores: Tensor, visits: Visits) -> tuple[Tensor, Tensor]:
        """Let an epoch pass over all `scores` (N,), in place; returns s_j and p_j of those visited, (M,)."""
        if self._variance is None:
            self._variance = torch.ones_like(scores)
            scores.zero_()
        rho = self.rho
        self._variance.mul_(rho**2).add_(1 - rho**2)
        return (
            scores.mul_(rho).index_select(0, visits.indices),
            self._variance.index_select(0, visits.indices),
        )

    def totals(self, spread: Tensor, visits: Visits) -> Tensor:
        """Return S of each batch, (n,) float32, from the variances (M,) of its samples."""
        return (visits.batch_means(spread) + self.noise).clamp_min(LEAST_VARIANCE)

    def correct(self, scores: Tensor, own: Tensor, spread: Tensor, residual: Tensor, visits: Visits) -> None:
        """Write what the residuals (n,) of the batches tell of those visited; uses up own and spread."""
        assert self._variance is not None
        total = self.totals(spread, visits)
        scores.scatter_(0, visits.indices, own.addcmul_(spread, visits.per_sample(residual / total)))
        kept = visits.per_sample(1 / (visits.batch_sizes * total)).mul_(spread).neg_().add_(1)
        kept.clamp_min_(0)  # rounding may leave less than none
        self._variance.scatter_(0, visits.indices, spread.mul_(kept))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "variance": self._variance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._variance = state["variance"]
