"""Batch Loss Score: a moving average of the batch losses that a sample took part in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.pruning.pruner import check_fraction
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class BatchLossScore(Scorer):
    """Batch Loss Score (BLS, Eq. 2): s_i <- alpha * s_i + (1 - alpha) * L for the samples of the batch.

    alpha: the memory, in [0, 1]; 0 is the last batch loss ("w/o EMA"), at 1 no score ever moves.
    init: the start value. `first_batch`: the first batch loss of the run (the paper); `zero`: 0 (the
    authors' code), which makes seldom visited samples look easy; `bias_corrected`: 0, with the score
    divided by 1 - alpha^k after k visits.
    """

    alpha: float = 0.7
    init: str = "first_batch"

    def __post_init__(self) -> None:
        check_fraction("alpha", self.alpha)
        if self.init not in ("first_batch", "zero", "bias_corrected"):
            raise ValueError(f"init must be first_batch, zero or bias_corrected, got {self.init!r}")

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        losses = visits.per_sample(visits.batch_losses)
        if self.init == "bias_corrected":
            # The table holds corrected scores: undo the division for k visits, do it again for k + 1.
            k = counts.index_select(0, visits.indices).double()
            raw = self.alpha * scores.index_select(0, visits.indices).nan_to_num(0) * (1 - self.alpha**k)
            raw += (1 - self.alpha) * losses
            divisor = 1 - self.alpha ** (k + 1)
            scores.scatter_(0, visits.indices, torch.where(divisor > 0, raw / divisor, 0.0).float())
            return
        if scores[0].isnan():
            scores.fill_(visits.batch_losses[0].item() if self.init == "first_batch" else 0.0)
        old = scores.index_select(0, visits.indices)
        scores.scatter_(0, visits.indices, losses.lerp_(old, self.alpha))
