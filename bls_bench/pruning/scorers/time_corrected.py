"""The loss of a sample beside those of other samples at about the same random time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.pruner import check_fraction
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class TimeCorrectedLoss(Scorer):
    """For losses at a random time, as diffusion has them: s_i <- alpha * s_i + (1 - alpha) * l_i / m; ours.

    m: the mean loss of the epoch's samples at about the same time, in `bins` groups of about one size. Most
    of such a loss is its time: without the division a score tells which time was drawn, and not the sample.
    alpha: the memory, in [0, 1], since one draw says little. A first visit gives l_i / m itself.
    """

    per_sample: ClassVar[bool] = True
    signal: ClassVar[str | None] = "time"
    alpha: float = 0.7
    bins: int = 20

    def __post_init__(self) -> None:
        check_fraction("alpha", self.alpha)
        if self.bins < 1:
            raise ValueError(f"bins must be at least 1, got {self.bins}")

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        assert visits.losses is not None
        assert visits.signals is not None
        relative = less_time(visits.losses, visits.signals, self.bins)
        old = scores.index_select(0, visits.indices)
        old = torch.where(old.isnan(), relative, old)
        scores.scatter_(0, visits.indices, relative.lerp(old, self.alpha))


def less_time(losses: Tensor, times: Tensor, bins: int) -> Tensor:
    """Return each of the (m,) losses as a multiple of the mean of its group of like times, (m,) float32."""
    relative = torch.empty_like(losses)
    # Stable: equal times keep the order of the visits, whatever the machine.
    for group in times.argsort(stable=True).tensor_split(bins):
        own = losses[group]
        mean = own.mean()
        relative[group] = own / mean if mean > 0 else torch.ones_like(own)
    return relative
