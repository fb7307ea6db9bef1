"""How long ago a sample was trained on: the control that knows the time alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class StaleScore(Scorer):
    """A control: the epochs since the sample was last trained on, 1 for one of the last epoch.

    Under pruning a score that follows the falling loss tells this too, and no loss is needed for it.
    """

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        scores.add_(1).index_fill_(0, visits.indices, 1.0)
