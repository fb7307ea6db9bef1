"""Epsilon-greedy: the samples of the highest moving average, and some at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.moving import MovingAveragePruner
from bls_bench.pruning.pruner import check_fraction
from bls_bench.pruning.selection import largest, permutation
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class EpsilonGreedyPruner(MovingAveragePruner):
    """Epsilon-greedy (Raju et al. 2021): of the samples kept, a share epsilon is drawn at random."""

    epsilon: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("epsilon", self.epsilon)

    def _choose(self, mean: Tensor, variance: Tensor, keep: int, generator: torch.Generator) -> Tensor:
        return epsilon_greedy(mean, keep, self.epsilon, generator)


def epsilon_greedy(values: Tensor, keep: int, epsilon: float, generator: torch.Generator) -> Tensor:
    """Return round((1 - epsilon) * keep) of the largest (N,) values, the others drawn from the rest."""
    best = largest(values, round((1 - epsilon) * keep), generator)
    rest = torch.ones(len(values), dtype=torch.bool).index_fill_(0, best, False).nonzero().squeeze(1)
    return torch.cat([best, rest[permutation(len(rest), generator)[: keep - len(best)]]])
