"""Dataset pruning: leave out samples whose influences cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.static.influence import influences
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class DatasetPruning(ScoringPruner):
    """Dataset pruning (Yang et al. 2023, Eq. 7): leave out samples whose influences cancel.

    Of all sets of the wanted size, one with a small norm of its summed influences is left out; found
    greedily, where the paper anneals.
    """

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        out = cancelling(*influences(observed), len(observed) - count)
        keep = torch.ones(len(observed), dtype=torch.bool).index_fill_(0, out, False)
        return keep.nonzero().squeeze(1), None


def cancelling(left: Tensor, right: Tensor, count: int) -> Tensor:
    """Return `count` of the vectors with factors (n, C), (n, d), greedily keeping their sum small."""
    squares = left.square().sum(1) * right.square().sum(1)  # infinite for a chosen one
    products, chosen = torch.zeros(len(left)), []  # of each vector with the sum of those chosen
    for _ in range(count):
        chosen.append(int((squares + 2 * products).argmin()))
        squares[chosen[-1]] = torch.inf
        products += (left @ left[chosen[-1]]) * (right @ right[chosen[-1]])
    return torch.tensor(chosen, dtype=torch.int64)
