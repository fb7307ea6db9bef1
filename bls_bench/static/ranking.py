"""What static pruners share that rank the samples by one number each and keep the highest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.selection import largest
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


# Samples that are scored at a time, so that memory holds little beside what was seen of them.
BLOCK = 4096


@dataclass(kw_only=True)
class RankingPruner(ScoringPruner):
    """Base of the rankings; ties are drawn at random."""

    copies: ClassVar[int] = 1

    def score(self, observed: Observations) -> Tensor:
        """Return the (n,) scores, the highest to be kept, each from what was seen of its sample alone."""
        raise NotImplementedError

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        blocks = torch.arange(len(observed)).split(BLOCK)
        scores = torch.cat([self.score(observed.at(block)) for block in blocks])
        return largest(scores, count, generator), None
