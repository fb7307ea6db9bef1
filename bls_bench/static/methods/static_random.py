"""Static random pruning: the baseline of all static methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.selection import permutation
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import StaticPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class StaticRandom(StaticPruner):
    """A uniform draw, made once; `balanced` makes it stratified. It needs no scoring run."""

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        return permutation(len(observed), generator)[:count].long(), None
