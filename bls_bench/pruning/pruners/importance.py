"""Importance sampling: keep samples with probabilities in proportion to their scores, and reweight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.pruner import Epoch, check_fraction
from bls_bench.pruning.rate import RatedPruner
from bls_bench.pruning.selection import Selection, systematic
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class ImportancePruner(RatedPruner):
    """Importance sampling (Katharopoulos & Fleuret 2018; Salaun et al. 2023), a sample at most once an epoch.

    Sample i is drawn with probability pi_i = min(1, c * q_i), c such that the pi_i sum to what is to be kept,
    N - int(prune_ratio * N), and weighs 1 / pi_i: the weighted sum of losses is unbiased. q_i is the score,
    0 if negative, mixed with a share `smoothing` of the mean score, which bounds the weights by
    1 / (smoothing * (1 - prune_ratio)). Samples without a score count as the mean; before any is scored, the
    epoch is whole.
    """

    smoothing: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("smoothing", self.smoothing)

    def prunable(self, num_epochs: int) -> range:
        """All but the first epoch, before which there are no scores."""
        return range(1, num_epochs)

    def draw(self, epoch: Epoch, share: float | None) -> Selection:
        share = self.prune_ratio if share is None else share
        if epoch.scores.isnan().all() or share == 0:
            return epoch.everything()
        whole, kept = torch.tensor([epoch.num_samples]), kept_share(share, epoch.num_samples)
        chances = inclusion(epoch.scores, whole, kept, self.smoothing)
        drawn = systematic(chances, epoch.generator)
        return Selection.of(drawn, epoch.generator, (1 / chances).float(), prune_ratio=share)


def kept_share(prune_ratio: float, n: int) -> float:
    """Return what share stays of n samples once int(prune_ratio * n) of them are gone."""
    return 1 - int(prune_ratio * n + 1e-9) / max(n, 1)


def inclusion(scores: Tensor, sizes: Tensor, share: float, smoothing: float) -> Tensor:
    """Return the probabilities, (M,) float64, to draw each sample with; they sum to share * size per segment.

    scores: (M,), NaN where there is none; sizes: (n,) int64, the lengths of the consecutive segments that
    each are sampled on their own.
    """
    segment = torch.arange(len(sizes)).repeat_interleave(sizes)

    def sums(values: Tensor) -> Tensor:
        return torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, segment, values.double())

    known = ~scores.isnan()
    values = scores.double().clamp(min=0).nan_to_num(0)
    mean = (sums(values) / sums(known).clamp(min=1))[segment]
    values = torch.where(known, values, mean)
    # The tiny share lets equal chances take over where too few scores are above 0.
    values = values + (smoothing + 1e-12) * (mean - values) + 1e-30
    certain = torch.zeros_like(known)
    while True:
        # Whoever reaches 1 is certain; the others share what is left in proportion.
        factor = (share * sizes - sums(certain)) / sums(values.masked_fill(certain, 0)).clamp(min=1e-300)
        chances = torch.where(certain, 1.0, values * factor[segment])
        if not (more := (chances > 1) & ~certain).any():
            return chances
        certain |= more
