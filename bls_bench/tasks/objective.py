"""What is trained towards and how it is measured: a loss of a batch, and metrics of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from bls_bench.system.streams import stream

if TYPE_CHECKING:
    from bls_bench.data.base import Data


class Loss(NamedTuple):
    """The loss of a batch, on the device, not weighted.

    value: (b,) one a sample, or the 0-d mean of the batch; what is differentiated.
    parts: 0-d each, detached: what it is made of, for the record.
    signals: (b,) each, detached, those asked for.
    observed: (b,) detached losses of the samples themselves, where `value` is not that (mixed samples).
    counted: (b,) bool, which samples have a loss at all; the others, of value 0, leave no score. It is read
    on the host in each step. None: all.
    beside: the 0-d loss of the streams beside (`Data.beside`), differentiated, neither weighted nor scored.
    """

    value: Tensor
    parts: Mapping[str, Tensor] = {}
    signals: Mapping[str, Tensor] = {}
    observed: Tensor | None = None
    counted: Tensor | None = None
    beside: Tensor | None = None


class StepBatch(NamedTuple):
    """What a step of a task with streams beside the pruned one gets: a batch of each.

    own: of the samples that are pruned. beside: by the names in `Data.beside`.
    """

    own: Any
    beside: Mapping[str, Any]


class Place(NamedTuple):
    """Where in a run a batch is: it names the batch's streams of random numbers.

    Neither another pruner nor a resume changes them. part: of a batch that goes through the model in parts.
    """

    seed: int
    epoch: int
    step: int
    rank: int = 0
    part: int = 0

    def stream(self, purpose: str) -> torch.Generator:
        """Return the CPU generator of this place for one purpose."""
        names = (self.epoch, self.step, self.rank, *((self.part,) if self.part else ()))
        return stream(self.seed, purpose, *names)


class Measure:
    """Metrics of one pass over a data set, exact under any number of processes."""

    def update(self, model: nn.Module, batch: Any) -> None:
        """Take in a batch; without gradients, the model in evaluation mode."""
        raise NotImplementedError

    def generate(self, model: nn.Module) -> None:
        """Take in what the model makes of nothing, after the last batch; all processes make this call.

        By default there is nothing of that kind. A model in parts runs on all processes at once, so each has
        to call it as often as the others.
        """

    def state(self) -> Any:
        """Return what this process has seen, as something that can be pickled, on the CPU."""
        raise NotImplementedError

    def merge(self, states: Sequence[Any]) -> None:
        """Take the states of all processes, in the order of their ranks, in place of one's own."""
        raise NotImplementedError

    def compute(self) -> dict[str, float]:
        """Return the value of each of the task's metrics over the whole data set."""
        raise NotImplementedError


class Objective(nn.Module):
    """What a run of a task trains towards. It may own modules, such as a teacher; they are checkpointed.

    measured_at_once: the samples of a batch that is measured, by each process.
    """

    measured_at_once: int = 512

    def watch(self, model: nn.Module, wanted: frozenset[str]) -> None:
        """See the bare model once, before training, for signals that its output does not tell.

        Raises InputError for a model that cannot be looked into.
        """

    def loss(self, model: nn.Module, batch: Any, place: Place, wanted: frozenset[str]) -> Loss:
        """Return the training loss of a batch, which is a `StepBatch` where the data have streams beside.

        wanted: the signals asked for.
        """
        raise NotImplementedError

    def measure(self) -> Measure:
        """Return a fresh measurement."""
        raise NotImplementedError

    def outputs(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """Return logits (b, C) and the features (b, d) before them; for tasks that give `outputs`."""
        raise NotImplementedError

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw what the trained model does, as PNG files in `folder`; by default nothing.

        model: the bare one that counts, in evaluation mode, without gradients. Process 0 alone makes this
        call, at the end of a run.
        """


class MeanMeasure(Measure):
    """A metric that is the mean of one number a sample."""

    def __init__(self, name: str) -> None:
        self.name, self._count = name, 0
        self._total: Tensor | float = 0.0

    def values(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the (b,) numbers of a batch."""
        raise NotImplementedError

    def update(self, model: nn.Module, batch: Any) -> None:
        values = self.values(model, batch)
        # Kept on the device: a float here would wait for it in every batch.
        self._total = self._total + values.sum(dtype=torch.float64)
        self._count += len(values)

    def state(self) -> tuple[float, int]:
        return float(self._total), self._count

    def merge(self, states: Sequence[tuple[float, int]]) -> None:
        self._total, self._count = sum(total for total, _ in states), sum(count for _, count in states)

    def compute(self) -> dict[str, float]:
        return {self.name: float(self._total) / self._count}
