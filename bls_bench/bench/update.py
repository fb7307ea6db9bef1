"""Measure what the library adds to a step of the training loop, in microseconds of CPU time."""

import gc
import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import torch
from torch.utils.data import Dataset, RandomSampler

from bls_bench.pruning.library.handler import Handler
from bls_bench.pruning.library.loader import DataLoader
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.scorer import Scorer

STEPS = 1000  # of an epoch of the whole data, enough for the cost of beginning one to be spread thin


class Nothing(Dataset):
    """Items that cost nothing: what is measured is the loader."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def __getitems__(self, indices: list[int]) -> list[int]:
        return indices


def nothing(items: list[int]) -> None:
    """Collate to nothing."""


def measure_update(
    pruner: Callable[[], Pruner], scorer: Callable[[], Scorer], batch_size: int, repeats: int
) -> tuple[float, float]:
    """Return the microseconds of CPU time that `update` takes a step, and the loader besides torch's.

    Each is the median over `repeats` epochs, alternating with torch's own. The losses are part of a graph, as
    in training, and the epoch's end counts to none of the two.
    """
    handler = Handler(Nothing(STEPS * batch_size), 1000, pruner(), scorer(), seed=0)
    loader = DataLoader(handler, sampler=handler.sampler, batch_size=batch_size, collate_fn=nothing)
    torchs = torch.utils.data.DataLoader(
        handler.dataset, sampler=RandomSampler(range(len(handler))), batch_size=batch_size, collate_fn=nothing
    )
    losses = torch.rand(batch_size, requires_grad=True) * 1.0
    loss = losses if handler.state.scorer.per_sample else losses.mean()
    updates, loads = [], []
    for _ in range(repeats + 2):
        gc.collect()
        loads.append(_reading(loader) - _reading(torchs))  # without an update the epoch is drawn again
        updates.append(_updating(loader, handler, loss, batch_size))
    # The first epoch weights nothing, and the second is the first to send weights anywhere.
    return median(updates[2:]), median(loads[2:])


def _updating(loader: DataLoader, handler: Handler, loss: torch.Tensor, batch_size: int) -> float:
    """Return the microseconds of CPU time a step of the updates of an epoch, the last one apart."""
    update, clock, spent, steps = handler.update, time.thread_time_ns, 0, 0
    for _ in loader:
        indices = handler.batch_indices
        assert indices is not None
        count = len(indices)
        own = loss if count == batch_size or loss.ndim == 0 else loss[:count]
        before = clock()
        update(own)
        if handler.state.selection is not None:  # else it was the last one, which ends the epoch
            spent += clock() - before
            steps += 1
    return (spent / steps - _clock_cost()) / 1000


def _reading(loader: Iterable[Any]) -> float:
    """Return the microseconds of CPU time a batch of an epoch of torch's own loader."""
    clock, steps = time.thread_time_ns, 0
    started = clock()
    for _ in loader:
        steps += 1
    return (clock() - started) / steps / 1000


def _clock_cost() -> float:
    """Return the nanoseconds that reading the clock takes."""
    clock, reads = time.thread_time_ns, 1000
    started = clock()
    for _ in range(reads):
        clock()
    return (clock() - started) / reads
