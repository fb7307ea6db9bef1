"""InfoBatch: drop low-loss samples at random, scale the loss of those that stay."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.pruner import Epoch, annealing_start, check_fraction, check_rate
from bls_bench.pruning.rate import AnnealedPruner, dropped, lowest, spread
from bls_bench.pruning.selection import Selection, permutation
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


# A target takes more candidates rather than to drop these with a higher probability, which would make the
# weights of the few that stay, 1 / (1 - r), larger than 5: training gets unsteady.
WIDEN_AT = 0.8


@dataclass(kw_only=True)
class InfoBatchPruner(AnnealedPruner):
    """InfoBatch (ICLR 2024, Sec. 2.2-2.4), with the switches of its ablations.

    prune_ratio: r, the probability that a candidate is dropped, in [0, 1).
    delta: pruning ends at epoch delta * E; from then on all data with weight 1.
    variant: `mean`: candidates are the scores below the mean. `quantile`: r is `low_ratio` for the
    lowest `low_quantile` of the scores and `prune_ratio` from there to `high_quantile` (the setting of
    the paper's CIFAR-100, ImageNet and ADE20K runs; percentiles 20 and 85 in the authors' code).
    prune: `below` the threshold; `above` it; `random`: as many candidates, drawn at random (Table 5).
    exact_count: keep exactly int((1 - r) * n) of n candidates, with the weight n / kept, instead of
    dropping each one independently; with weights at least one stays. The paper says independently, the
    authors' code keeps this number.
    rescale, anneal: off in the ablations of Table 4.

    Sent to a target, r is what this epoch needs, the number dropped is exact, and the weights are those of
    this r: unbiased as ever. Both rates of `quantile` are scaled by one factor. Where r would pass WIDEN_AT
    the candidates become more, the next ones in the order of the scores, in the end all; no weight is
    above 1 / (1 - most) = 20.
    """

    variant: str = "mean"
    low_quantile: float = 0.2
    low_ratio: float = 0.75
    high_quantile: float = 0.85
    prune: str = "below"
    exact_count: bool = False
    rescale: bool = True
    anneal: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate("low_ratio", self.low_ratio)
        check_fraction("low_quantile", self.low_quantile)
        check_fraction("high_quantile", self.high_quantile)
        if self.low_quantile > self.high_quantile:
            raise ValueError(f"low_quantile must be at most high_quantile, got {self.low_quantile}")
        if self.variant not in ("mean", "quantile"):
            raise ValueError(f"variant must be mean or quantile, got {self.variant!r}")
        if self.prune not in ("below", "above", "random"):
            raise ValueError(f"prune must be below, above or random, got {self.prune!r}")
        if self.variant == "quantile" and self.prune != "below":
            raise ValueError(f"prune must be below with variant=quantile, got {self.prune!r}")

    def prunable(self, num_epochs: int) -> range:
        """All but the first epoch, before which there are no scores, up to annealing."""
        return range(1, annealing_start(self.delta, num_epochs) if self.anneal else num_epochs)

    def natural_share(self, num_epochs: int, below_mean: float = 0.5) -> float:
        if self.variant == "mean":
            share = (1 - below_mean if self.prune == "above" else below_mean) * self.prune_ratio
        else:
            share = self.low_quantile * self.low_ratio
            share += (self.high_quantile - self.low_quantile) * self.prune_ratio
        return share * len(self.prunable(num_epochs)) / num_epochs

    def draw(self, epoch: Epoch, share: float | None) -> Selection:
        if self.anneal and epoch.annealing(self.delta):
            return epoch.everything()
        weights = torch.ones(epoch.num_samples) if self.rescale else None
        tiers, exact_count = self._tiers(epoch), self.exact_count
        if share is not None:
            tiers, exact_count = self._sent_to_target(tiers, share * epoch.num_samples, epoch), True
        elif exact_count:
            least = int(self.rescale)
            tiers = [(candidates, kept_exactly(candidates, ratio, least)) for candidates, ratio in tiers]
        drop = torch.zeros(epoch.num_samples, dtype=torch.bool)
        for candidates, ratio in tiers:
            drop |= dropped(candidates, ratio, epoch.generator, exact_count)
            if weights is not None:
                weights.masked_fill_(candidates, 1 / (1 - ratio))
        made_with = tiers[-1][1] if any(candidates.any() for candidates, _ in tiers) else 0.0
        return Selection.of(drop.logical_not_(), epoch.generator, weights, prune_ratio=made_with)

    def _tiers(self, epoch: Epoch) -> list[tuple[Tensor, float]]:
        """Return the candidates of each drop rate, (N,) bool; a sample without a score is none."""
        scores = epoch.scores
        if self.variant == "quantile":
            low, high = quantile(scores, self.low_quantile), quantile(scores, self.high_quantile)
            middle = (scores >= low) & (scores < high)
            return [(scores < low, self.low_ratio), (middle, self.prune_ratio)]
        mean = scores.nanmean(dtype=torch.float64)
        candidates = scores > mean if self.prune == "above" else scores < mean
        if self.prune == "random":
            scored = (~scores.isnan()).nonzero().squeeze(1)
            candidates[scored] = candidates[scored[permutation(len(scored), epoch.generator)]]
        return [(candidates, self.prune_ratio)]

    def _sent_to_target(
        self, tiers: list[tuple[Tensor, float]], wanted: float, epoch: Epoch
    ) -> list[tuple[Tensor, float]]:
        """Return the candidates with the drop rates that drop `wanted`, more candidates if need be."""
        most, sizes = WIDEN_AT, [int(candidates.count_nonzero()) for candidates, _ in tiers]
        if wanted > WIDEN_AT * sum(sizes):
            tiers = [(self._first(math.ceil(wanted / WIDEN_AT), epoch), 1.0)]
            most, sizes = self.most, [int(tiers[0][0].count_nonzero())]
        ratios = spread(wanted, sizes, [ratio for _, ratio in tiers], most)
        # Whole numbers are dropped, and the weights have to be those of what is dropped.
        ratios = [int(ratio * size + 1e-9) / max(size, 1) for ratio, size in zip(ratios, sizes, strict=True)]
        return [(candidates, ratio) for (candidates, _), ratio in zip(tiers, ratios, strict=True)]

    def _first(self, count: int, epoch: Epoch) -> Tensor:
        """Mark the `count` samples with a score that are candidates before all others, (N,) bool."""
        order = -epoch.scores if self.prune == "above" else epoch.scores
        if self.prune == "random":
            order = torch.rand(len(order), generator=epoch.generator).masked_fill_(order.isnan(), torch.nan)
        return lowest(order, count, epoch.generator)


def kept_exactly(candidates: Tensor, ratio: float, least: int) -> float:
    """Return the share of the n candidates, (N,) bool, that goes when int((1 - ratio) * n) of them stay.

    least: how many stay at any rate. With weights it has to be 1: no weight makes up for none.
    """
    count = int(candidates.count_nonzero())
    return 1 - max(int((1 - ratio) * count + 1e-9), least) / count if count else ratio


def quantile(scores: Tensor, fraction: float) -> Tensor:
    """Return the score that int(fraction * n) of the n scores that are not NaN lie below, ties apart.

    torch.quantile refuses more than 2^24 elements.
    """
    known = scores[~scores.isnan()]
    rank = int(fraction * len(known) + 1e-9)
    if rank >= len(known):
        return torch.tensor(torch.inf)
    return known.kthvalue(rank + 1).values
