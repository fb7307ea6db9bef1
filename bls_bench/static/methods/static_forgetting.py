"""Forgetting events: keep what is learned and lost again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.static.observations import Observations
from bls_bench.static.ranking import RankingPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Forgetting(RankingPruner):
    """Forgetting events (Toneva et al. 2019): how often a sample went from right to wrong.

    Samples that were never right count more than any other.
    """

    balanced: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scoring_epochs < 2:
            raise ValueError(f"scoring_epochs must be at least 2, got {self.scoring_epochs}")

    def score(self, observed: Observations) -> Tensor:
        right = observed.history > 0.5
        events = (right[:-1] & ~right[1:]).sum(0)
        return torch.where(right.any(0), events, len(right)).float()
