"""The scoring run: a short training on all data, after which a static pruner chooses its samples."""

import dataclasses
import math
import time

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn

from bls_bench.config import Config
from bls_bench.data.base import CPU, Data, Split
from bls_bench.engine.correctness import Correctness
from bls_bench.engine.evaluation import EVAL_BATCH
from bls_bench.engine.loop import Engine
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.visits import Visits
from bls_bench.records.tracking import Tracker
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import StaticPruner
from bls_bench.system.errors import InputError
from bls_bench.system.memory import free_bytes, shortage
from bls_bench.system.processes import gather, process_rank
from bls_bench.system.stopping import StopSignal
from bls_bench.system.streams import stream
from bls_bench.tasks.classification.models import LastInput, Model


def prepare(config: Config, data: Data, fabric: Fabric) -> None:
    """Have a static pruner choose its samples; nothing for any other. Every process has to make this call.

    Process 0 chooses for all. Raises InputError for a choice that is refused, and for a single class.
    """
    pruner = config.pruner
    if not isinstance(pruner, StaticPruner):
        return
    if pruner.scoring_epochs and data.num_classes < 2:
        raise InputError(
            f"pruner: {type(pruner).__name__} needs a data set of at least 2 classes, got "
            f"{data.num_classes}: use pruner=static_random"
        )
    started, error = time.perf_counter(), None
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
        "scoring_samples": passes * len(data.train),
    }
    error, state = fabric.broadcast((error, pruner.state_dict()))
    if error:
        raise InputError(f"pruner: {error}")
    pruner.load_state_dict(state)


class _Watch(NoPruning):
    """All data, and a note of who was classified rightly in each epoch."""

    def __init__(self) -> None:
        self.history: list[Tensor] = []

    def observe(self, visits: Visits, scores: Tensor) -> None:
        self.history.append(scores > 0.5)


class _ScoringRun(Engine):
    def evaluate(self, split: Split) -> float:
        """The test data are no business of a scoring run."""
        return math.nan


def observe(config: Config, data: Data, fabric: Fabric) -> Observations:
    """Train for the pruner's scoring epochs and look at every sample, without augmentation.

    The run has the settings of `config` and a seed of its own; its learning-rate schedule spans its epochs.
    Raises InputError for observations that do not fit into memory.
    """
    pruner = config.pruner
    if pruner.scoring_epochs == 0:
        return Observations.unseen(data.train.targets, data.num_classes)
    trainer = dataclasses.replace(
        config.trainer, epochs=pruner.scoring_epochs, ema=None, compile="none", checkpoint_seconds=math.inf
    )
    run = _ScoringRun(
        dataclasses.replace(
            config,
            seed=int(torch.randint(2**62, (), generator=stream(config.seed, "scoring"))),
            trainer=trainer,
            model=config.model if pruner.proxy is None else Model(name=pruner.proxy),
            task=config.task.unmixed(),
            pruner=_Watch(),
            scorer=Correctness(),
        ),
        data,
        fabric,
    )
    run.fit(None, Tracker(), StopSignal())
    model = run.model.module
    logits, features, probed = _look(model, LastInput(model, run.config.model.name), pruner, data, fabric)
    history = torch.stack(run.state.pruner.history)
    return Observations(data.train.targets, data.num_classes, logits, features, history, probed)


def _look(
    model: nn.Module, last: LastInput, pruner: StaticPruner, data: Data, fabric: Fabric
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return logits and features of all samples, and what the pruner probes; each process looks at some."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
    model.eval()
    count, rows, done = len(data.train), [], 0
    own = torch.arange(fabric.global_rank, count, fabric.world_size)
    for inputs, _ in data.train.plain().batches(own.split(EVAL_BATCH), 0, fabric.device):
        with torch.no_grad(), fabric.autocast():
            seen = [model(inputs), last.value]
        probed = pruner.probe(model, inputs)
        seen += [] if probed is None else [probed[:, None]]
        if not rows:
            # Several processes also hold what they send, what they receive, and all of it in order.
            copies, width = 1 if fabric.world_size == 1 else 3, sum(part.shape[1] for part in seen)
            what = f"the features and outputs of {count} samples"
            missing = shortage(4 * copies * count * width, free_bytes(CPU), what)
            if missing := fabric.broadcast(missing):
                raise InputError(f"pruner: {missing}")
            rows = [torch.empty(len(own), part.shape[1]) for part in seen]
        for whole, part in zip(rows, seen, strict=True):
            whole[done : done + len(part)] = part
        done += len(inputs)
    logits, features, *probed = (_together(part, count) for part in rows)
    return logits, features, probed[0][:, 0] if probed else None


def _together(own: Tensor, count: int) -> Tensor:
    """Return the rows (count, k) of all processes, of which each has every so-many-th."""
    world_size = process_rank()[1]
    if world_size == 1:
        return own
    whole = torch.empty(count, own.shape[1])
    for rank, part in enumerate(gather(own.flatten())):
        whole[rank::world_size] = part.view(-1, own.shape[1])
    return whole
