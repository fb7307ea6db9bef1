"""Random scores: the control that knows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class RandomScore(Scorer):
    """A control: fresh uniform scores each epoch, which know nothing of the samples."""

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        torch.rand(len(scores), generator=generator, out=scores)
