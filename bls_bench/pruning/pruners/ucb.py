"""UCB: the samples whose scores might be highest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.moving import MovingAveragePruner
from bls_bench.pruning.selection import largest
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class UCBPruner(MovingAveragePruner):
    """Upper confidence bound (Raju et al. 2021): keep the largest mean + c * standard deviation."""

    c: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.c >= 0:
            raise ValueError(f"c must be at least 0, got {self.c}")

    def _choose(self, mean: Tensor, variance: Tensor, keep: int, generator: torch.Generator) -> Tensor:
        return largest(mean + self.c * variance.sqrt(), keep, generator)
