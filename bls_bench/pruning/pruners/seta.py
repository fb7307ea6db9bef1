"""SeTa: slide a window over loss groups, from easy to hard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.kmeans1d import kmeans1d
from bls_bench.pruning.pruner import Epoch, annealing_start
from bls_bench.pruning.rate import AnnealedPruner, lowest
from bls_bench.pruning.selection import Selection
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class SeTaPruner(AnnealedPruner):
    """SeTa (Scale Efficient Training, CVPR 2025), read off the authors' code.

    prune_ratio: r, the share removed by a uniform draw before anything else, in [0, 1).
    num_groups: k groups of like scores, by exact one-dimensional k-means.
    window_scale: the window spans round(k * window_scale) of the groups, at least one.
    delta: from epoch delta * E on, `anneal`: `partial` trains on a fresh uniform draw of
    int((1 - r) * N) samples, which still counts as pruned (the authors'); `full` on all samples.

    Sent to a target, r is what makes draw and window together keep as many samples as this epoch should. A
    window that is too small even at r = 0 takes in the samples outside whose scores lie nearest to it.
    """

    version: ClassVar[int] = 2

    prune_ratio: float = 0.1
    num_groups: int = 5
    window_scale: float = 0.9
    anneal: str = "partial"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_groups < 1:
            raise ValueError(f"num_groups must be at least 1, got {self.num_groups}")
        if not 0 < self.window_scale <= 1:
            raise ValueError(f"window_scale must be in (0, 1], got {self.window_scale}")
        if self.anneal not in ("partial", "full"):
            raise ValueError(f"anneal must be partial or full, got {self.anneal!r}")

    def prunable(self, num_epochs: int) -> range:
        """All epochs, with `full` those before annealing."""
        return range(annealing_start(self.delta, num_epochs) if self.anneal == "full" else num_epochs)

    def natural_share(self, num_epochs: int, below_mean: float = 0.5) -> float:
        """It is taken that the groups are of one size; k-means makes those of the easy samples larger."""
        slid = len(range(1, annealing_start(self.delta, num_epochs)))
        first, last = window(1, self.num_groups, self.window_scale)
        outside = (1 - self.prune_ratio) * (1 - (last - first) / self.num_groups)
        return super().natural_share(num_epochs) + outside * slid / num_epochs

    def draw(self, epoch: Epoch, share: float | None) -> Selection:
        annealing = epoch.annealing(self.delta)
        if annealing and self.anneal == "full":
            return epoch.everything()
        ratio = self.prune_ratio if share is None else share
        if annealing or epoch.index == 0:
            return Selection(epoch.sample(ratio), prune_ratio=ratio)
        # Sent to a target the draw comes last: only the window tells how many it has to be.
        drawn = epoch.sample(ratio if share is None else 0)
        scores = settled(epoch.scores).index_select(0, drawn)
        num_groups = min(self.num_groups, len(scores))
        first, last = window(epoch.index, num_groups, self.window_scale)
        groups = kmeans1d(scores, num_groups)
        inside = (groups >= first) & (groups < last)
        if share is not None and inside.any():
            keep, size = int((1 - share) * epoch.num_samples + 1e-9), int(inside.count_nonzero())
            inside, ratio = fitted(scores, inside, keep, epoch.generator), max(1 - keep / size, 0.0)
        # `drawn` is already in random order, and so is every part of it.
        return Selection(drawn.index_select(0, inside.nonzero().squeeze(1)), prune_ratio=ratio)


def window(count: int, num_groups: int, window_scale: float) -> tuple[int, int]:
    """Return the first group of the window and the one after its last, at selection `count` (from 0).

    The first selection takes all groups; then the window starts at count mod (k - w + 1).
    """
    if count == 0:
        return 0, num_groups
    width = max(1, round(num_groups * window_scale))
    first = count % (num_groups - width + 1)
    return first, first + width


def fitted(scores: Tensor, inside: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Mark `count` samples, (n,) bool: a random part of those inside the window, or these and the nearest."""
    low, high = scores[inside].aminmax()
    distance = (low - scores).maximum(scores - high).clamp_(min=0).masked_fill_(inside, -1)
    return lowest(distance, count, generator)


def settled(scores: Tensor) -> Tensor:
    """Put the samples that have no score yet at the mean of those that have; all equal if none has."""
    mean = scores.nanmean(dtype=torch.float64).nan_to_num(0)
    return scores.nan_to_num(float(mean))
