"""What the scorers share that first subtract the running mean of the batch losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


# The share that the running mean of the batch losses keeps at each batch. Ten batches of memory follow a
# falling loss closely and add 1/19 to the variance of a centred batch loss.
RUNNING_MEAN_DECAY = 0.9


class RunningMeanScorer(Scorer):
    """Shared by the scorers that first subtract the running mean of the batch losses.

    With it goes the fall of the loss over training, which tells when a sample was last seen and not how
    hard it is. Each process keeps the running mean of its own batches.
    """

    _mean: float | None = None

    def batch_losses_less_mean(self, visits: Visits) -> Tensor:
        """Return L - c for each batch, (n,) float32, c the running mean before that batch."""
        return self.less_mean(visits.batch_losses, visits.batches_per_process)

    def less_mean(self, values: Tensor, batches_per_process: list[int]) -> Tensor:
        """Return one value a batch, (n,), less the running mean of those before it, (n,) float32."""
        centred, ends = [], []
        for own in values.split(batches_per_process):
            mean = self._mean
            for value in own.tolist():
                mean = value if mean is None else mean
                centred.append(value - mean)
                mean += (1 - RUNNING_MEAN_DECAY) * (value - mean)
            ends += [] if mean is None else [mean]
        self._mean = sum(ends) / len(ends) if ends else None
        return torch.tensor(centred, dtype=torch.float32)

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._mean = state["mean"]
