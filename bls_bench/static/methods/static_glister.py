"""GLISTER: keep the samples whose gradients most lower the loss of all data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.selection import largest
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


# GLISTER: how many times the validation gradient is taken anew, and the step it looks ahead.
ROUNDS, STEP = 20, 0.1


@dataclass(kw_only=True)
class Glister(ScoringPruner):
    """GLISTER (Killamsetty et al. 2021): the samples whose gradients most lower the loss of all data.

    The greedy Taylor approximation in the last layer, with the training data as validation data.
    """

    copies: ClassVar[int] = 4
    balanced: bool = True

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        return glister(observed, count, generator), None


def glister(observed: Observations, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` samples, (count,) int64, those of the highest inner product with the mean gradient.

    In ROUNDS rounds; after each the mean gradient is that of a last layer one step of STEP further down
    the mean gradient of the samples chosen so far.
    """
    left, right = observed.gradients()
    rows, chosen, current = torch.arange(len(left)), torch.zeros(0, dtype=torch.int64), left
    while len(chosen) < count:
        ahead = current.T @ right / len(observed)
        gains = (left @ ahead).mul_(right).sum(1).index_fill_(0, chosen, -torch.inf)
        many = min(-(-count // ROUNDS), count - len(chosen))
        chosen = torch.cat([chosen, largest(gains, many, generator)])
        step = left[chosen].T @ right[chosen] / len(chosen)
        current = (observed.logits - STEP * right @ step.T).softmax(1)
        current[rows, observed.targets] -= 1
    return chosen
