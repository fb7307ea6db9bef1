"""Static random pruning: the baseline of all static methods."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bls_bench.pruning.selection import permutation
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import StaticPruner


@dataclass(kw_only=True)
class StaticRandom(StaticPruner):
    """A uniform draw, made once; `balanced` makes it stratified. It needs no scoring run."""

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        return permutation(len(observed), generator)[:count].long(), None
