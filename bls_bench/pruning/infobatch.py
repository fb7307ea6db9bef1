"""InfoBatch: drop low-loss samples at random, scale the loss of those that stay."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bls_bench.pruning.pruner import Epoch, Pruner, check_fraction, check_rate
from bls_bench.pruning.selection import Selection


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
        keep = torch.ones(epoch.num_samples, dtype=torch.bool)
        weights = torch.ones(epoch.num_samples) if self.rescale else None
        for candidates, ratio in self._tiers(epoch):
            kept = drop(candidates, ratio, epoch.generator, self.exact_count)
            keep[candidates] = kept
            if weights is not None:
                weights[candidates] = 1 / (1 - ratio)
        return Selection.of(keep.nonzero().squeeze(1), epoch.generator, weights)

    def _tiers(self, epoch: Epoch) -> list[tuple[Tensor, float]]:
        """Return the candidates of each drop rate, (n,) int64; a sample without a score is none."""
        scores = epoch.scores
        if self.variant == "quantile":
            low, high = quantile(scores, self.low_quantile), quantile(scores, self.high_quantile)
            middle = (scores >= low) & (scores < high)
            tiers = [(scores < low, self.low_ratio), (middle, self.prune_ratio)]
            return [(tier.nonzero().squeeze(1), ratio) for tier, ratio in tiers]
        mean = scores.nanmean(dtype=torch.float64)
        candidates = (scores > mean if self.prune == "above" else scores < mean).nonzero().squeeze(1)
        if self.prune == "random":
            candidates = torch.randperm(epoch.num_samples, generator=epoch.generator)[: len(candidates)]
        return [(candidates, self.prune_ratio)]


def drop(candidates: Tensor, ratio: float, generator: torch.Generator, exact_count: bool) -> Tensor:
    """Say which of the (n,) candidates stay, (n,) bool; each is dropped with probability `ratio`."""
    draws = torch.rand(len(candidates), generator=generator)
    if not exact_count:
        return draws >= ratio
    kept = torch.ones(len(candidates), dtype=torch.bool)
    kept[draws.argsort()[: int(ratio * len(candidates) + 1e-9)]] = False
    return kept


def quantile(scores: Tensor, fraction: float) -> Tensor:
    """Return the score that int(fraction * n) of the n scores that are not NaN lie below, ties apart.

    torch.quantile refuses more than 2^24 elements.
    """
    known = scores[~scores.isnan()]
    rank = int(fraction * len(known) + 1e-9)
    if rank >= len(known):
        return torch.tensor(torch.inf)
    return known.kthvalue(rank + 1).values
