"""Selective-Backprop: keep a sample with a power of its percentile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.pruner import Epoch
from bls_bench.pruning.rate import RatedPruner
from bls_bench.pruning.selection import Selection, permutation, systematic
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class SelectiveBackpropPruner(RatedPruner):
    """Selective-Backprop (Jiang et al. 2019, Sec. 3.2), from the scores of earlier epochs.

    A sample stays with probability F(s_i)^beta, F the distribution function of all scores. That keeps a share
    of 1 / (1 + beta), so prune_ratio r sets beta = r / (1 - r). Samples without a score stay. Weights are 1,
    as in the paper: hard samples count for more.
    """

    def prunable(self, num_epochs: int) -> range:
        """All but the first epoch, before which there are no scores."""
        return range(1, num_epochs)

    def draw(self, epoch: Epoch, share: float | None) -> Selection:
        share = self.prune_ratio if share is None else share
        chances = percentiles(epoch.scores, epoch.generator) ** (share / (1 - share))
        kept = systematic(chances.nan_to_num(1.0), epoch.generator)
        return Selection.of(kept, epoch.generator, prune_ratio=0.0 if chances.isnan().all() else share)


def percentiles(scores: Tensor, generator: torch.Generator) -> Tensor:
    """Return (rank - 1/2) / n of each of the n scores, (N,) float64; ties in random order, NaN stays."""
    order = permutation(len(scores), generator).long()
    order = order[scores[order].argsort()]  # NaN comes last
    known = int((~scores.isnan()).count_nonzero())
    shares = torch.full(scores.shape, torch.nan, dtype=torch.float64)
    shares[order[:known]] = (torch.arange(known, dtype=torch.float64) + 0.5) / max(known, 1)
    return shares
