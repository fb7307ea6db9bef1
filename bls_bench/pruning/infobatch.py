"""InfoBatch: drop low-loss samples at random, scale the loss of those that stay."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bls_bench.pruning.pruner import Epoch, Pruner, check_fraction, check_rate
from bls_bench.pruning.selection import Selection, permutation


@dataclass(kw_only=True)
class InfoBatchPruner(Pruner):
    """InfoBatch (ICLR 2024, Sec. 2.2-2.4), with the switches of its ablations.

    prune_ratio: r, the probability that a candidate is dropped, in [0, 1).
    delta: pruning ends at epoch delta * E; from then on all data with weight 1.
    variant: `mean`: candidates are the scores below the mean. `quantile`: r is `low_ratio` for the
    lowest `low_quantile` of the scores and `prune_ratio` from there to `high_quantile` (the setting of
    the paper's CIFAR-100, ImageNet and ADE20K runs; percentiles 20 and 85 in the authors' code).
    prune: `below` the threshold; `above` it; `random`: as many candidates, drawn at random (Table 5).
    exact_count: drop exactly int(r * n) of n candidates instead of each one independently. The paper
    says independently, the authors' code draws an exact number.
    rescale, anneal: off in the ablations of Table 4.
    """

    prune_ratio: float = 0.5
    delta: float = 0.875
    variant: str = "mean"
    low_quantile: float = 0.2
    low_ratio: float = 0.75
    high_quantile: float = 0.85
    prune: str = "below"
    exact_count: bool = False
    rescale: bool = True
    anneal: bool = True

    def __post_init__(self) -> None:
        check_rate("prune_ratio", self.prune_ratio)
        check_rate("low_ratio", self.low_ratio)
        check_fraction("delta", self.delta)
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

    def select(self, epoch: Epoch) -> Selection:
        if self.anneal and epoch.annealing(self.delta):
            return epoch.everything()
        drop = torch.zeros(epoch.num_samples, dtype=torch.bool)
        weights = torch.ones(epoch.num_samples) if self.rescale else None
        for candidates, ratio in self._tiers(epoch):
            drop |= dropped(candidates, ratio, epoch.generator, self.exact_count)
            if weights is not None:
                weights.masked_fill_(candidates, 1 / (1 - ratio))
        return Selection.of(drop.logical_not_().nonzero().squeeze(1), epoch.generator, weights)

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


def dropped(candidates: Tensor, ratio: float, generator: torch.Generator, exact_count: bool) -> Tensor:
    """Say which of the candidates, (N,) bool, are dropped, each with probability `ratio`; (N,) bool."""
    if not exact_count:
        # Drawing for all costs less than finding the candidates.
        return (torch.rand(len(candidates), generator=generator) < ratio).logical_and_(candidates)
    chosen = candidates.nonzero().squeeze(1)
    order = permutation(len(chosen), generator)[: int(ratio * len(chosen) + 1e-9)]
    return torch.zeros_like(candidates).index_fill_(0, chosen.index_select(0, order), True)


def quantile(scores: Tensor, fraction: float) -> Tensor:
    """Return the score that int(fraction * n) of the n scores that are not NaN lie below, ties apart.

    torch.quantile refuses more than 2^24 elements.
    """
    known = scores[~scores.isnan()]
    rank = int(fraction * len(known) + 1e-9)
    if rank >= len(known):
        return torch.tensor(torch.inf)
    return known.kthvalue(rank + 1).values
