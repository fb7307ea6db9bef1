"""RePB: decide inside local windows, reweight by history."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bls_bench.pruning.pruner import Epoch, Pruner, check_rate
from bls_bench.pruning.selection import Selection
from bls_bench.pruning.visits import Visits, segment_means

ABSENT, STAYS, BELOW = 0, 1, 2  # BELOW is STAYS + 1


@dataclass(kw_only=True)
class RePBPruner(Pruner):
    """RePB (Resolving Pruning Biases, ICLR 2026, Sec. 3), with the switches of its Table 10.

    prune_ratio: rho, the probability that a sample below its window's mean is dropped, in [0, 1).
    window: W, how many consecutive batches share one mean; a short last window is used as it is.
    resample: samples that sat an epoch out come back with probability 1 - rho; off, they never do.
    window_pruning: off, all samples of an epoch are compared with the mean over the whole epoch.
    rescale: cumulative temporal rescaling (CTR), w_i = e / N_i.
    Under several processes each one's own batches form windows.
    """

    prune_ratio: float = 0.5
    window: int = 1
    resample: bool = True
    window_pruning: bool = True
    rescale: bool = True

    def __post_init__(self) -> None:
        check_rate("prune_ratio", self.prune_ratio)
        if self.window < 1:
            raise ValueError(f"window must be at least 1 batch, got {self.window}")
        # (N,) uint8: what the last epoch said of each sample. None until one has been seen.
        self._verdict: Tensor | None = None

    def observe(self, visits: Visits, scores: Tensor) -> None:
        self._verdict = torch.full(scores.shape, ABSENT, dtype=torch.uint8)
        if len(visits.indices) == 0:
            return
        visited = scores.index_select(0, visits.indices)
        sizes = window_sizes(visits, self.window) if self.window_pruning else torch.tensor([len(visited)])
        means = segment_means(visited, sizes).repeat_interleave(sizes)
        self._verdict.scatter_(0, visits.indices, STAYS + (visited < means).to(torch.uint8))

    def select(self, epoch: Epoch) -> Selection:
        if self._verdict is None:
            return epoch.everything()
        # One draw serves both: a sample below its mean and one that was absent stay with 1 - rho.
        lucky = torch.rand(epoch.num_samples, generator=epoch.generator) >= self.prune_ratio
        keep = (self._verdict == STAYS) | (lucky & (self._verdict == BELOW))
        if self.resample:
            keep |= lucky & (self._verdict == ABSENT)
        weights = epoch.index / epoch.counts.clamp(min=1) if self.rescale else None
        return Selection.of(keep.nonzero().squeeze(1), epoch.generator, weights)

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
