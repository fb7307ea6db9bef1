"""CCS: leave out the hardest, then cover all that is left alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.pruner import check_rate
from bls_bench.pruning.rate import lowest
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.static.quotas import drawn
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class CCS(ScoringPruner):
    """Coverage-centric coreset selection (Zheng et al. 2023, Algorithm 1), by the area under the margin.

    The share `beta` of the hardest is left out. The scores of the others are cut into `strata` ranges of one
    width, and the samples to keep are shared among these from the smallest up, each getting an equal share of
    what is left or all that it has; within a range they are drawn at random.
    """

    copies: ClassVar[int] = 1
    noted: ClassVar[str] = "lead"
    beta: float = 0.1
    strata: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rate("beta", self.beta)
        if self.beta > self.target:
            raise ValueError(
                f"beta={self.beta:g} must be at most target={self.target:g}, for the hardest are among those "
                "left out"
            )
        if self.strata < 1:
            raise ValueError(f"strata must be at least 1, got {self.strata}")

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        margins = observed.history.mean(0)
        # Of a single class the quota may be a sample more than its share.
        hardest = min(math.floor(self.beta * len(margins)), len(margins) - count)
        left = (~lowest(margins, hardest, generator)).nonzero().squeeze(1)
        groups = ranges(margins[left], self.strata)
        budgets = shared(groups.bincount(minlength=self.strata), count)
        return left[drawn(groups, budgets, generator)], None


def ranges(scores: Tensor, count: int) -> Tensor:
    """Return in which of `count` ranges of one width each of the (n,) scores lies, (n,) int64."""
    low, high = scores.double().aminmax()
    if low == high:
        return torch.zeros(len(scores), dtype=torch.int64)
    return ((scores.double() - low) / (high - low) * count).long().clamp_(max=count - 1)


def shared(sizes: Tensor, total: int) -> Tensor:
    """Share `total` among strata of these `sizes`, (k,) int64, from the smallest up; (k,) int64.

    Each gets what is left over the number of those left, rounded down, or all that it has. They sum to the
    total if there are so many samples.
    """
    budgets, left = torch.zeros_like(sizes), total
    for done, stratum in enumerate(sizes.argsort(stable=True).tolist()):
        budgets[stratum] = min(int(sizes[stratum]), left // (len(sizes) - done))
        left -= int(budgets[stratum])
    return budgets
