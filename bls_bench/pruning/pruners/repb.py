"""RePB: decide inside local windows, reweight by history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bls_bench.pruning.pruner import Epoch
from bls_bench.pruning.rate import RatedPruner, dropped, spread
from bls_bench.pruning.selection import Selection
from bls_bench.pruning.visits import Visits, repeated, segment_means
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


ABSENT, STAYS, BELOW = 0, 1, 2  # BELOW is STAYS + 1


@dataclass(kw_only=True)
class RePBPruner(RatedPruner):
    """RePB (Resolving Pruning Biases, ICLR 2026, Sec. 3), with the switches of its Table 10.

    prune_ratio: rho, the probability that a sample below its window's mean is dropped, in [0, 1).
    window: W, how many consecutive batches share one mean; a short last window is used as it is.
        A sample that was trained on and gave no loss is in no window, and stays.
    resample: samples that sat an epoch out come back with probability 1 - rho; off, they never do.
    window_pruning: off, all samples of an epoch are compared with the mean over the whole epoch.
    rescale: cumulative temporal rescaling (CTR), w_i = e / N_i.
    Under several processes each one's own batches form windows.

    Sent to a target, rho is what this epoch needs, and the number dropped is exact. Where rho would pass
    `most`, the samples that would stay are dropped at random as well. The weights follow as ever.
    """

    silent_version: ClassVar[int] = 2
    window: int = 1
    resample: bool = True
    window_pruning: bool = True
    rescale: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 1:
            raise ValueError(f"window must be at least 1 batch, got {self.window}")
        # (N,) uint8: what the last epoch said of each sample. None until one has been seen.
        self._verdict: Tensor | None = None

    def check_batches(self, batches: int) -> None:
        if self.window > batches:
            raise ValueError(f"window must be at most the {batches} batches of an epoch, got {self.window}")

    def observe(self, visits: Visits, scores: Tensor) -> None:
        self._verdict = torch.full(scores.shape, ABSENT, dtype=torch.uint8)
        if visits.silent is not None:
            self._verdict[visits.silent] = STAYS
        if len(visits.indices) == 0:
            return
        visited = scores.index_select(0, visits.indices)
        sizes = self._window_sizes(visits)
        means = repeated(segment_means(visited, sizes), sizes)
        self._verdict.scatter_(0, visits.indices, STAYS + (visited < means).to(torch.uint8))

    def _window_sizes(self, visits: Visits) -> Tensor:
        if self.window_pruning:
            return window_sizes(visits, self.window)
        return torch.tensor([len(visits.indices)])

    def prunable(self, num_epochs: int) -> range:
        """All but the first epoch, before which there are no scores."""
        return range(1, num_epochs)

    def natural_share(self, num_epochs: int, below_mean: float = 0.5) -> float:
        absent, total, away = 0.0, 0.0, self.prune_ratio if self.resample else 1.0
        for _ in self.prunable(num_epochs):
            absent = away * absent + self.prune_ratio * below_mean * (1 - absent)
            total += absent
        return total / num_epochs

    @property
    def for_good(self) -> bool:
        return not self.resample

    def draw(self, epoch: Epoch, share: float | None) -> Selection:
        if self._verdict is None:
            return epoch.everything()
        if share is not None:
            keep, rho = self._sent_to_target(epoch, share)
        else:
            keep, rho = self._lucky(epoch), self.prune_ratio
        weights = epoch.index / epoch.counts.clamp(min=1) if self.rescale else None
        return Selection.of(keep, epoch.generator, weights, prune_ratio=rho)

    def _lucky(self, epoch: Epoch) -> Tensor:
        """Say who is in the epoch, (N,) bool, rho being prune_ratio."""
        assert self._verdict is not None
        # One draw serves both: a sample below its mean and one that was absent stay with 1 - rho.
        lucky = torch.rand(epoch.num_samples, generator=epoch.generator) >= self.prune_ratio
        keep = (self._verdict == STAYS) | (lucky & (self._verdict == BELOW))
        if self.resample:
            keep |= lucky & (self._verdict == ABSENT)
        return keep

    def _sent_to_target(self, epoch: Epoch, share: float) -> tuple[Tensor, float]:
        """Say who is in the epoch, (N,) bool, and with which rho, so that it leaves out this share."""
        assert self._verdict is not None
        wanted = share * epoch.num_samples
        absent, stays = self._verdict == ABSENT, self._verdict == STAYS
        gone = torch.zeros_like(absent) if self.resample else absent
        tiers = [~(stays | gone), stays]
        sizes = [int(tier.count_nonzero()) for tier in tiers]
        left = max(wanted - int(gone.count_nonzero()), 0.0)
        ratios = spread(left, sizes, [1.0, 0.0], self.most)
        for tier, ratio in zip(tiers, ratios, strict=True):
            gone = gone | dropped(tier, ratio, epoch.generator, exact_count=True)
        open_to_it = sum(size for size, ratio in zip(sizes, ratios, strict=True) if ratio > 0)
        return ~gone, min(left / open_to_it, self.most) if open_to_it else 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"verdict": self._verdict}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._verdict = state["verdict"]


def window_sizes(visits: Visits, window: int) -> Tensor:
    """Return how many samples each window of `window` consecutive batches holds, (m,) int64."""
    if window == 1:
        return visits.batch_sizes
    processes = visits.batch_sizes.split(visits.batches_per_process)
    return torch.stack([part.sum() for own in processes for part in own.split(window)])
