"""What the bandits share: a moving average of each sample's scores, and of their spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bls_bench.pruning.pruner import Epoch, check_fraction
from bls_bench.pruning.rate import RatedPruner
from bls_bench.pruning.selection import Selection, marked
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class MovingAveragePruner(RatedPruner):
    """Base of pruners that keep int((1 - prune_ratio) * N) samples by mean and variance of their scores.

    The first epoch is whole. alpha: the share of a new score in the moving averages, in (0, 1].
    """

    alpha: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("alpha", self.alpha)
        if self.alpha == 0:
            raise ValueError("alpha must be in (0, 1], got 0")
        # (N,) float32 each, the mean NaN for a sample not seen yet. None until an epoch has been seen.
        self._mean: Tensor | None = None
        self._variance: Tensor | None = None

    def observe(self, visits: Visits, scores: Tensor) -> None:
        if self._mean is None:
            self._mean, self._variance = torch.full_like(scores, torch.nan), torch.zeros_like(scores)
        assert self._variance is not None
        seen = visits.indices
        mean, variance = moving(self._mean[seen], self._variance[seen], scores[seen], self.alpha)
        self._mean[seen], self._variance[seen] = mean, variance

    def prunable(self, num_epochs: int) -> range:
        """All but the first epoch, before which there are no scores."""
        return range(1, num_epochs)

    def draw(self, epoch: Epoch, share: float | None) -> Selection:
        if self._mean is None:
            return epoch.everything()
        share = self.prune_ratio if share is None else share
        keep = int((1 - share) * epoch.num_samples + 1e-9)
        assert self._variance is not None
        kept = marked(self._choose(self._mean, self._variance, keep, epoch.generator), epoch.num_samples)
        return Selection.of(kept, epoch.generator, prune_ratio=share)

    def _choose(self, mean: Tensor, variance: Tensor, keep: int, generator: torch.Generator) -> Tensor:
        """Return the `keep` samples to train on, (keep,) int64, by mean and variance, (N,) each."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self._mean, "variance": self._variance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._mean, self._variance = state["mean"], state["variance"]


def moving(mean: Tensor, variance: Tensor, value: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Return exponentially weighted mean and variance, (n,) each, once `value` (n,) has been seen.

    A mean of NaN starts at the value, with variance 0 (West 1979 for the rest).
    """
    step = (value - mean).nan_to_num(0)
    return torch.where(mean.isnan(), value, mean + alpha * step), (1 - alpha) * (variance + alpha * step**2)
