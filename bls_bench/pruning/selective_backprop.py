"""Selective-Backprop: keep a sample with a power of its percentile."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bls_bench.pruning.pruner import Epoch
from bls_bench.pruning.rate import RatedPruner
from bls_bench.pruning.selection import Selection


@dataclass(kw_only=True)
class SelectiveBackpropPruner(RatedPruner):
    """Selective-Backprop (Jiang et al. 2019, Sec. 3.2), from the scores of earlier epochs.

    A sample stays with probability F(s_i)^beta, F the distribution function of all scores, each sample on
    its own. The expected share is 1 / (1 + beta), so prune_ratio r sets beta = r / (1 - r). Samples without
    a score stay. Weights are 1, as in the paper: hard samples count for more.
    """

    most: ClassVar[float] = 0.95  # beta = 19

    def prunable(self, num_epochs: int) -> range:
        """All but the first epoch, before which there are no scores."""
        return range(1, num_epochs)

    def select(self, epoch: Epoch) -> Selection:
        share = self.share(epoch)
        chances = percentiles(epoch.scores) ** (share / (1 - share))
        kept = torch.rand(epoch.num_samples, generator=epoch.generator) < chances.nan_to_num(1.0)
        return Selection.of(kept, epoch.generator, prune_ratio=share)


def percentiles(scores: Tensor) -> Tensor:
    """Return the share of the scores that are at most each one, (N,) in (0, 1]; NaN stays NaN."""
    known = scores[~scores.isnan()].sort().values
    shares = torch.searchsorted(known, scores, right=True) / max(len(known), 1)
    return torch.where(scores.isnan(), torch.nan, shares)
