"""Selective-Backprop: keep a sample with a power of its percentile."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bls_bench.pruning.pruner import Epoch, Pruner, check_rate
from bls_bench.pruning.selection import Selection


@dataclass(kw_only=True)
class SelectiveBackpropPruner(Pruner):
    """Selective-Backprop (Jiang et al. 2019, Sec. 3.2), from the scores of earlier epochs.

    A sample stays with probability F(s_i)^beta, F the distribution function of all scores, each sample on
    its own. The expected share is 1 / (1 + beta), so prune_ratio r sets beta = r / (1 - r). Samples without
    a score stay. Weights are 1, as in the paper: hard samples count for more.
    """

    prune_ratio: float = 0.5

    def __post_init__(self) -> None:
        check_rate("prune_ratio", self.prune_ratio)

    def select(self, epoch: Epoch) -> Selection:
        chances = percentiles(epoch.scores) ** (self.prune_ratio / (1 - self.prune_ratio))
        kept = torch.rand(epoch.num_samples, generator=epoch.generator) < chances.nan_to_num(1.0)
        return Selection.of(kept.nonzero().squeeze(1), epoch.generator)


def percentiles(scores: Tensor) -> Tensor:
    """Return the share of the scores that are at most each one, (N,) in (0, 1]; NaN stays NaN."""
    known = scores[~scores.isnan()].sort().values
    shares = torch.searchsorted(known, scores, right=True) / max(len(known), 1)
    return torch.where(scores.isnan(), torch.nan, shares)
