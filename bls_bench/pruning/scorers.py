"""How the losses of an epoch become scores."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bls_bench.pruning.pruner import check_fraction
from bls_bench.pruning.visits import Visits

# The share that the running mean of the batch losses keeps at each batch. Ten batches of memory follow a
# falling loss closely and add 1/19 to the variance of a centred batch loss.
RUNNING_MEAN_DECAY = 0.9


class Scorer:
    """Base of all scorers: turns the visits of one epoch into scores.

    per_sample: whether the losses of the single samples are needed, or batch losses are enough.
    signal: what is needed of each sample beside its loss: None, or one of `pruning.signals.SIGNALS`.
    below_mean: the share of the scores that is taken to lie below their mean, to foretell what is pruned.
    """

    per_sample: ClassVar[bool] = False
    signal: ClassVar[str | None] = None
    below_mean: ClassVar[float] = 0.5

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        """Write the new scores into `scores`, in place.

        scores: (N,) float32, NaN where a sample has no score yet (all of them at first); counts: (N,)
        int32, visits of each sample before this epoch; visits: no sample occurs twice.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


@dataclass(kw_only=True)
class PerSampleLoss(Scorer):
    """The last observed loss of the sample itself (InfoBatch, SeTa and RePB as published)."""

    per_sample: ClassVar[bool] = True
    # InfoBatch saves 33.8% of CIFAR-100 with ResNet-18 (its Table 6), as if 77% of the losses lay below.
    below_mean: ClassVar[float] = 0.75

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        scores.scatter_(0, visits.indices, visits.losses)


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


@dataclass(kw_only=True)
class RandomScore(Scorer):
    """A control: fresh uniform scores each epoch, which know nothing of the samples."""

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        torch.rand(len(scores), generator=generator, out=scores)


class _Centred(Scorer):
    """Shared by the scorers that first subtract the running mean of the batch losses.

    With it goes the fall of the loss over training, which tells when a sample was last seen and not how
    hard it is. Each process keeps the running mean of its own batches.
    """

    _mean: float | None = None

    def _centred_batch_losses(self, visits: Visits) -> Tensor:
        """Return L - c for each batch, (n,) float32, c the running mean before that batch."""
        centred, ends = [], []
        for losses in visits.batch_losses.split(visits.batches_per_process):
            mean = self._mean
            for loss in losses.tolist():
                mean = loss if mean is None else mean
                centred.append(loss - mean)
                mean += (1 - RUNNING_MEAN_DECAY) * (loss - mean)
            ends += [] if mean is None else [mean]
        self._mean = sum(ends) / len(ends) if ends else None
        return torch.tensor(centred, dtype=torch.float32)

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._mean = state["mean"]


@dataclass(kw_only=True)
class CentredBatchLossScore(_Centred):
    """BLS of batch losses less their running mean: ours, not the paper's. All start at 0."""

    alpha: float = 0.7

    def __post_init__(self) -> None:
        check_fraction("alpha", self.alpha)

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        losses = visits.per_sample(self._centred_batch_losses(visits))
        scores.nan_to_num_(0)
        old = scores.index_select(0, visits.indices)
        scores.scatter_(0, visits.indices, losses.lerp_(old, self.alpha))


@dataclass(kw_only=True)
class ResidualScore(_Centred):
    """Credit a batch's samples with what their scores did not predict: ours, not the paper's.

    r = (L - c) - mean of s_j over the batch, then s_i <- s_i + eta * r for the batch's samples.
    """

    eta: float = 1.0

    def __post_init__(self) -> None:
        if not self.eta > 0:
            raise ValueError(f"eta must be above 0, got {self.eta}")

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        old = scores.nan_to_num_(0).index_select(0, visits.indices)
        residual = self._centred_batch_losses(visits) - visits.batch_means(old)
        scores.scatter_(0, visits.indices, old + self.eta * visits.per_sample(residual))
