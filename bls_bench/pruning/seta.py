"""SeTa: slide a window over loss groups, from easy to hard."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bls_bench.pruning.kmeans1d import kmeans1d
from bls_bench.pruning.pruner import Epoch, Pruner, check_fraction, check_rate
from bls_bench.pruning.selection import Selection


@dataclass(kw_only=True)
class SeTaPruner(Pruner):
    """SeTa (Scale Efficient Training, CVPR 2025), read off the authors' code.

    prune_ratio: r, the share removed by a uniform draw before anything else, in [0, 1).
    num_groups: k groups of like scores, by one-dimensional k-means.
    window_scale: the window spans round(k * window_scale) of the groups, at least one.
    delta: from epoch delta * E on, `anneal`: `partial` trains on a fresh uniform draw of
    int((1 - r) * N) samples, which still counts as pruned (the authors'); `full` on all samples.
    """

    prune_ratio: float = 0.1
    num_groups: int = 5
    window_scale: float = 0.9
    delta: float = 0.875
    anneal: str = "partial"

    def __post_init__(self) -> None:
        check_rate("prune_ratio", self.prune_ratio)
        check_fraction("delta", self.delta)
        if self.num_groups < 1:
            raise ValueError(f"num_groups must be at least 1, got {self.num_groups}")
        if not 0 < self.window_scale <= 1:
            raise ValueError(f"window_scale must be in (0, 1], got {self.window_scale}")
        if self.anneal not in ("partial", "full"):
            raise ValueError(f"anneal must be partial or full, got {self.anneal!r}")

    def select(self, epoch: Epoch) -> Selection:
        annealing = epoch.annealing(self.delta)
        if annealing and self.anneal == "full":
            return epoch.everything()
        drawn = epoch.sample(self.prune_ratio)
        if annealing or epoch.index == 0:
            return Selection(drawn)
        first, last = window(epoch.index, self.num_groups, self.window_scale)
        groups = kmeans1d(settled(epoch.scores).index_select(0, drawn), self.num_groups)
        # `drawn` is already in random order, and so is every part of it.
        return Selection(drawn.masked_select((groups >= first) & (groups < last)))


def window(count: int, num_groups: int, window_scale: float) -> tuple[int, int]:
    """Return the first group of the window and the one after its last, at selection `count` (from 0).

    The first selection takes all groups; then the window starts at count mod (k - w + 1).
    """
    if count == 0:
        return 0, num_groups
    width = max(1, round(num_groups * window_scale))
    first = count % (num_groups - width + 1)
    return first, first + width


def settled(scores: Tensor) -> Tensor:
    """Put the samples that have no score yet at the mean of those that have; all equal if none has."""
    mean = scores.nanmean(dtype=torch.float64).nan_to_num(0)
    return scores.nan_to_num(float(mean))
