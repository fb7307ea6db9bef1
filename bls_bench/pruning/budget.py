"""How long a run is: in epochs, or in steps where nobody counts epochs."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

from bls_bench.system.processes import process_rank


@dataclass(frozen=True)
class Steps:
    """A run of `number` steps, batches that each process gives a loss of, with `batch_size` samples each.

    A pruned epoch takes fewer steps, so there are more epochs in the run than without pruning, and how many
    is known at its end only. A pruner is told of as many as there will be at the present pace: its epoch e
    of E is then as far as the run is, and annealing takes the last 1 - delta of the steps. With a target it
    is told of those that the target leaves room for.
    Raises TypeError or ValueError for anything but whole numbers from 1 on.
    """

    number: int
    batch_size: int

    def __post_init__(self) -> None:
        check_count("num_steps", self.number)
        check_count("batch_size", self.batch_size)

    def epochs(self, num_samples: int, pruned: float) -> int:
        """Return how many epochs the run has if it leaves out the share `pruned` of all samples."""
        batches = (1 - pruned) * num_samples / process_rank()[1] / self.batch_size
        return max(1, round(self.number / (batches + 0.5)))  # the last batch is half full on average

    def at_pace(self, epoch: int, made: int) -> int:
        """Return how many epochs the run has if the first `epoch` of them took `made` steps."""
        return max(epoch + 1, round(epoch * self.number / made))


def check_count(name: str, value: Any) -> int:
    """Return a whole number from 1 on as it is; raises TypeError or ValueError for anything else."""
    return _whole(name, value, 1, None)


def check_seed(value: Any) -> int:
    """Return a seed, a whole number in [0, 2^63); raises TypeError or ValueError for anything else."""
    return _whole("seed", value, 0, 2**63)


def _whole(name: str, value: Any, low: int, end: int | None) -> int:
    try:
        whole = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None:
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if whole < low or (end is not None and whole >= end):
        allowed = f"at least {low}" if end is None else "in [0, 2^63)"
        raise ValueError(f"{name} must be {allowed}, got {whole}")
    return whole


def run_length(num_epochs: int | None, num_steps: int | None, batch_size: int | None) -> int | Steps:
    """Return the length of a run given either way; raises TypeError for neither, both or half of one."""
    if (num_epochs is None) == (num_steps is None):
        found = "neither" if num_epochs is None else "both"
        raise TypeError(f"give num_epochs, or num_steps and batch_size: got {found}")
    if (num_steps is None) != (batch_size is None):
        raise TypeError("num_steps and batch_size (that of the loader) belong together: got one of them")
    if num_steps is None or batch_size is None:
        return check_count("num_epochs", num_epochs)
    return Steps(num_steps, batch_size)
