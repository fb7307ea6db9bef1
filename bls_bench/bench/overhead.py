"""Measure what the bookkeeping of pruning costs, and the training steps that it stands beside."""

import gc
import json
import os
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from tqdm import tqdm

from bls_bench.data.base import Images
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.seta import SeTaPruner
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.state import PruningState
from bls_bench.records.run import device_name, environment
from bls_bench.system.durable import write
from bls_bench.tasks.classification.models import Classifier

SCHEMA = 1
BATCH_SIZE = 128
IMAGE_SIZE = 32
EPOCHS = 100  # of the run that is measured: none of the few measured epochs is an annealing one
BACKBONES = ("resnet18", "resnet50")
# The methods by the names that the tables' rows have.
METHODS: dict[str, tuple[Callable[[], Pruner], Callable[[], Scorer]]] = {
    "Control: no pruning": (NoPruning, PerSampleLoss),
    "InfoBatch": (InfoBatchPruner, PerSampleLoss),
    "BLS-InfoBatch": (InfoBatchPruner, BatchLossScore),
    "SeTa": (SeTaPruner, PerSampleLoss),
    "BLS-SeTa": (SeTaPruner, BatchLossScore),
    "RePB": (RePBPruner, PerSampleLoss),
    "BLS-RePB": (RePBPruner, BatchLossScore),
}


class Bookkeeping:
    """The bookkeeping of a run, epoch after epoch, on losses that do not change."""

    def __init__(self, pruner: Pruner, scorer: Scorer, losses: torch.Tensor) -> None:
        self.state = PruningState(len(losses), EPOCHS, pruner, scorer, seed=0)
        self.given = batches_of(losses, scorer)

    def epoch(self) -> float:
        """Return the seconds of one epoch."""
        state = self.state
        started = time.perf_counter()
        # The same losses are used again and again: they belong to the training, and cost nothing here.
        for batch, loss in zip(state.begin_epoch().batches(BATCH_SIZE), cycle(self.given), strict=False):
            whole = loss.ndim == 0 or batch.indices.numel() == BATCH_SIZE
            state.record(batch.indices, loss if whole else loss[: len(batch.indices)])
        state.end_epoch()
        return time.perf_counter() - started


def batches_of(losses: torch.Tensor, scorer: Scorer) -> list[torch.Tensor]:
    """Return the losses of a thousand batches, as the scorer wants them."""
    batches = losses[: 1000 * BATCH_SIZE].split(BATCH_SIZE)
    return [batch if scorer.per_sample else batch.mean() for batch in batches if len(batch) == BATCH_SIZE]


def some_losses(num_samples: int) -> torch.Tensor:
    """Return (N,) float32 losses, skewed as losses are."""
    return torch.rand(num_samples, generator=torch.Generator().manual_seed(0)).pow(4) * 3


def best_of(calls: list[Callable[[], float]], repeats: int) -> list[float]:
    """Return the best seconds of each, all of them measured in turn `repeats` times."""
    best = [float("inf")] * len(calls)
    for _ in tqdm(range(repeats), desc="repeats", leave=False):
        for number, call in enumerate(calls):
            gc.collect()
            best[number] = min(best[number], call())
    return best


def make_step(name: str, device: torch.device) -> Callable[[], float]:
    """Return a call that trains a model by one step of SGD on random images and returns its seconds."""
    model = Classifier(name=name).build(Images(3, IMAGE_SIZE, tuple(map(str, range(100))))).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = torch.rand(BATCH_SIZE, 3, IMAGE_SIZE, IMAGE_SIZE, device=device)
    targets = torch.randint(100, (BATCH_SIZE,), device=device)

    def step() -> float:
        started = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(images), targets).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    step()  # the first one allocates
    return step


def measure_once(file: Path, num_samples: int = 10**6, repeats: int = 5) -> None:
    """Measure and write the record, unless one of this machine is there; delete it to measure again."""
    made_on, here = _made_on(file), device_name(str(_device()))
    if made_on == here:
        print(f"{file} is there; delete it to measure again", flush=True)
        return
    if made_on is not None:
        print(f"{file} is of {made_on}: measuring again on {here}", flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, json.dumps(measure(num_samples, repeats), indent=2) + "\n")


def _made_on(file: Path) -> str | None:
    """Return the device that a record is of; None if there is none that tells."""
    try:
        return json.loads(file.read_text())["environment"]["device_name"]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def measure(num_samples: int, repeats: int) -> dict[str, Any]:
    """Return the record: the best of `repeats` epochs of every method and of steps of every backbone.

    load: the highest one-minute load average seen on the way; above the threads of this process, something
    else was running.
    """
    loads = [os.getloadavg()[0]]
    losses = some_losses(num_samples)
    overhead = {}
    for name, (pruner, scorer) in tqdm(METHODS.items(), desc="bookkeeping"):
        run = Bookkeeping(pruner(), scorer(), losses)
        run.epoch()  # the first epoch is whole and prunes nothing
        (overhead[name],) = best_of([run.epoch], repeats)
        loads.append(os.getloadavg()[0])
    device = _device()
    steps = {}
    for name in tqdm(BACKBONES, desc="backbones"):
        (steps[name],) = best_of([make_step(name, device)], repeats)
        loads.append(os.getloadavg()[0])
    return {
        "schema": SCHEMA,
        "samples": num_samples,
        "batch_size": BATCH_SIZE,
        "image_size": IMAGE_SIZE,
        "repeats": repeats,
        "overhead_seconds": overhead,
        "step_seconds": steps,
        "load": max(loads),
        "environment": environment(device.type, 1),
    }
