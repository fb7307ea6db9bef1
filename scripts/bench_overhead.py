"""Measure what pruning costs an epoch besides training, beside torch's own sampler.

For each pruner and scorer one epoch's bookkeeping is timed (begin_epoch, every record, end_epoch) on CPU
losses that are there already, beside drawing as many batches of as many samples from torch's RandomSampler
and BatchSampler. The epochs take turns, so that a busy machine slows all of them; the best of each counts.
Memory is what an epoch adds to the process at its peak, the losses of the epoch included. Prints a
Markdown table. `--samples 100000000` does the selection alone.
"""

import argparse
import gc
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from tqdm import tqdm

from bls_bench.pruning.handler import Handler
from bls_bench.pruning.infobatch import InfoBatchPruner
from bls_bench.pruning.pruner import NoPruning, Pruner
from bls_bench.pruning.random import RandomPruner
from bls_bench.pruning.repb import RePBPruner
from bls_bench.pruning.scorers import (
    BatchLossScore,
    CentredBatchLossScore,
    PerSampleLoss,
    RandomScore,
    ResidualScore,
    Scorer,
)
from bls_bench.pruning.seta import SeTaPruner
from bls_bench.pruning.state import PruningState

BATCH_SIZE = 128
EPOCHS = 100  # of the run that is measured: none of the few measured epochs is an annealing one
SELECTION_ALONE = 50_000_000  # samples from which on only the selection is measured

PRUNERS: dict[str, Callable[[], Pruner]] = {
    "none": NoPruning,
    "random": RandomPruner,
    "InfoBatch": InfoBatchPruner,
    "InfoBatch quantile": lambda: InfoBatchPruner(variant="quantile"),
    "SeTa": SeTaPruner,
    "RePB": RePBPruner,
}
SCORERS: dict[str, Callable[[], Scorer]] = {
    "per sample": PerSampleLoss,
    "BLS": BatchLossScore,
    "BLS bias corrected": lambda: BatchLossScore(init="bias_corrected"),
    "BLS centred": CentredBatchLossScore,
    "residual": ResidualScore,
    "random": RandomScore,
}


def torch_epoch(num_samples: int) -> None:
    """Draw one epoch of batches as torch's DataLoader does."""
    for _ in BatchSampler(RandomSampler(range(num_samples)), BATCH_SIZE, drop_last=False):
        pass


class Bookkeeping:
    """The bookkeeping of a run, epoch after epoch, on losses that do not change."""

    def __init__(self, pruner: Pruner, scorer: Scorer, losses: torch.Tensor) -> None:
        self.state = PruningState(len(losses), EPOCHS, pruner, scorer, seed=0)
        self.losses = losses

    def epoch(self) -> float:
        """Return the seconds of one epoch, without those for having the losses."""
        losses, state = self.losses, self.state
        started = time.perf_counter()
        selection = state.begin_epoch()
        seconds = time.perf_counter() - started
        if state.scorer.per_sample:
            given = list(losses[selection.indices].split(BATCH_SIZE))
        else:
            given = list(torch.rand(-(-len(selection) // BATCH_SIZE)).unbind())
        started = time.perf_counter()
        for batch, loss in zip(selection.batches(BATCH_SIZE), given, strict=True):
            state.record(batch.indices, loss)
        state.end_epoch()
        return seconds + time.perf_counter() - started


class ThreeLines(Bookkeeping):
    """The same through the library: a handler's sampler in torch's BatchSampler, and update."""

    def __init__(self, pruner: Pruner, scorer: Scorer, losses: torch.Tensor) -> None:
        self.handler = Handler(range(len(losses)), EPOCHS, pruner, scorer, seed=0)
        self.state, self.losses = self.handler.state, losses

    def epoch(self) -> float:
        handler, seconds = self.handler, 0.0
        loss = self.losses[:BATCH_SIZE] if self.state.scorer.per_sample else self.losses[0]
        started = time.perf_counter()
        for indices in BatchSampler(handler.sampler, BATCH_SIZE, drop_last=False):
            handler.__getitems__(indices)
            handler.update(loss[: len(indices)] if loss.ndim else loss)
        seconds += time.perf_counter() - started
        return seconds
