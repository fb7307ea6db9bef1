"""The scoring run: a short training on all data, after which a static pruner chooses its samples."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import cast

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor

from bls_bench.config.run import Config
from bls_bench.data.base import Data
from bls_bench.engine.loop import Engine
from bls_bench.engine.noted import NOTED
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.visits import Visits
from bls_bench.records.tracking import Tracker
from bls_bench.static.observations import Observations
from bls_bench.system.errors import InputError
from bls_bench.system.memory import free_bytes, shortage
from bls_bench.system.processes import gather, process_rank
from bls_bench.system.stopping import StopSignal
from bls_bench.system.streams import stream
from bls_bench.tasks.classification.models import Classifier


def prepare(config: Config, data: Data, fabric: Fabric) -> None:
    """Have a pruner that chooses once choose; nothing for any other. Every process has to make this call.

    Process 0 chooses for all. Raises InputError for a choice that is refused, and for a single class.
    """
    pruner = config.pruner
    if not pruner.chooses_once:
        return
    if pruner.scoring_epochs and data.info.num_classes < 2:
        raise InputError(
            f"pruner={config.resolved['pruner']['_target_']} needs a data set of at least 2 classes, got "
            f"{data.info.num_classes}: use pruner=static_random"
        )
    started, cpu, error = time.perf_counter(), time.process_time(), None
    observed = observe(config, data, fabric)
    if fabric.is_global_zero:
        try:
            pruner.choose(observed, stream(config.seed, "static"))
        except ValueError as refused:
            error = str(refused)
    # Every pass through the model counts, the last one, without a backward pass, too.
    passes = pruner.scoring_epochs + 1 if pruner.scoring_epochs else 0
    pruner.cost = {
        "scoring_seconds": time.perf_counter() - started,
        "scoring_cpu_seconds": time.process_time() - cpu,
        "scoring_samples": passes * len(data.train),
    }
    error, state = fabric.broadcast((error, pruner.state_dict()))
    if error:
        raise InputError(f"pruner: {error}")
    pruner.load_state_dict(state)


class _Watch(NoPruning):
    """All data, and a note of what each epoch said of each sample; 0 before it was trained on."""

    def __init__(self) -> None:
        self.history: list[Tensor] = []

    def observe(self, visits: Visits, scores: Tensor) -> None:
        self.history.append(scores.nan_to_num(0))


class _ScoringRun(Engine):
    def measured(self) -> dict[str, float]:
        """The test data are no business of a scoring run."""
        return {metric.name: math.nan for metric in self.config.task.metrics}


def observe(config: Config, data: Data, fabric: Fabric) -> Observations:
    """Train for the pruner's scoring epochs and look at every sample, without augmentation.

    The run has the settings of `config` and a seed of its own; its learning-rate schedule spans its epochs.
    Raises InputError for observations that do not fit into memory.
    """
    pruner, targets = config.pruner, data.targets
    if targets is None:  # only the methods that need no outputs come here without classes
        targets = torch.zeros(len(data.train), dtype=torch.int64)
        return Observations.unseen(targets, 1)
    if pruner.scoring_epochs == 0:
        return Observations.unseen(targets, data.info.num_classes)
    scorer = NOTED[pruner.noted]()
    if scorer.wide:
        # The last epoch's, this one's, and its parts as they are put together, by several processes twice.
        copies, count = 3 if fabric.world_size == 1 else 5, len(data.train)
        what = f"what two epochs predict of {count} samples"
        _check_memory(4 * copies * count * data.info.num_classes, what, fabric)
    trainer = dataclasses.replace(
        config.trainer,
        epochs=pruner.scoring_epochs,
        steps=None,
        ema=None,
        compile="none",
        checkpoint_seconds=math.inf,
    )
    run = _ScoringRun(
        dataclasses.replace(
            config.with_seed(int(torch.randint(2**62, (), generator=stream(config.seed, "scoring")))),
            trainer=trainer,
            model=config.model if pruner.proxy is None else Classifier(name=pruner.proxy),
            task=config.task.plain(),
            pruner=_Watch(),
            scorer=scorer,
        ),
        data,
        fabric,
    )
    run.fit(None, Tracker(), StopSignal())
    logits, features, probed = _look(run, config, data, fabric)
    history = torch.stack(cast(_Watch, run.state.pruner).history)
    return Observations(targets, data.info.num_classes, logits, features, history, probed)


def _check_memory(needed: int, what: str, fabric: Fabric) -> None:
    """Raise InputError on all processes where process 0 lacks so many bytes for `what`."""
    missing = shortage(needed, free_bytes(torch.device("cpu")), what)
    if missing := fabric.broadcast(missing):
        raise InputError(f"pruner: {missing}")


def _look(run: Engine, config: Config, data: Data, fabric: Fabric) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return logits and features of all samples, and what the pruner probes; each process looks at some."""
    model, objective = run.learner.model.module, run.learner.objective
    objective.watch(model, frozenset({"outputs"}))
    if fabric.world_size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
    model.eval()
    count, done = len(data.train), 0
    rows: list[Tensor] = []
    own = torch.arange(fabric.global_rank, count, fabric.world_size)
    for batch in data.train.plain().batches(own.split(objective.measured_at_once), 0, fabric.device):
        with torch.no_grad(), fabric.autocast():
            seen = list(objective.outputs(model, batch))
        probed = config.pruner.probe(model, batch)
        seen += [] if probed is None else [probed[:, None]]
        if not rows:
            # Several processes also hold what they send, what they receive, and all of it in order.
            copies, width = 1 if fabric.world_size == 1 else 3, sum(part.shape[1] for part in seen)
            _check_memory(4 * copies * count * width, f"the features and outputs of {count} samples", fabric)
            rows = [torch.empty(len(own), part.shape[1]) for part in seen]
        for whole, part in zip(rows, seen, strict=True):
            whole[done : done + len(part)] = part
        done += len(seen[0])
    logits, features, *found = (_together(part, count) for part in rows)
    return logits, features, found[0][:, 0] if found else None


def _together(own: Tensor, count: int) -> Tensor:
    """Return the rows (count, k) of all processes, of which each has every so-many-th."""
    world_size = process_rank()[1]
    if world_size == 1:
        return own
    whole = torch.empty(count, own.shape[1])
    for rank, part in enumerate(gather(own.flatten())):
        whole[rank::world_size] = part.view(-1, own.shape[1])
    return whole
