"""The scoring run: a short training on all data, after which a static pruner chooses its samples."""

import dataclasses
import math
import time

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn

from bls_bench.config import Config
from bls_bench.data.base import Data, Split
from bls_bench.engine import Engine
from bls_bench.errors import InputError
from bls_bench.evaluation import EVAL_BATCH
from bls_bench.models import LastInput, Model
from bls_bench.pruning.merge import gather, process_rank
from bls_bench.pruning.pruner import NoPruning
from bls_bench.pruning.signal_scorers import Correctness
from bls_bench.pruning.visits import Visits
from bls_bench.static.memory import shortage
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import StaticPruner
from bls_bench.stopping import StopSignal
from bls_bench.streams import stream
from bls_bench.tracking import Tracker


def prepare(config: Config, data: Data, fabric: Fabric) -> None:
    """Have a static pruner choose its samples; nothing for any other. Every process has to make this call.

    Process 0 chooses for all. Raises InputError for a choice that is refused.
    """
    pruner = config.pruner
    if not isinstance(pruner, StaticPruner):
        return
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
    watch = _Watch()
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
            pruner=watch,
            scorer=Correctness(),
        ),
        data,
        fabric,
    )
    run.fit(None, Tracker(), StopSignal())
    model = run.model.module
    logits, features, probed = _look(model, LastInput(model, run.config.model.name), pruner, data, fabric)
    history = torch.stack(watch.history)
    return Observations(data.train.targets, data.num_classes, logits, features, history, probed)


def _look(
    model: nn.Module, last: LastInput, pruner: StaticPruner, data: Data, fabric: Fabric
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return logits and features of all samples, and what the pruner probes; each process looks at some."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
    model.eval()
    count, rows = len(data.train), []
    own = torch.arange(fabric.global_rank, count, fabric.world_size)
    for inputs, _ in data.train.plain().batches(own.split(EVAL_BATCH), 0, fabric.device):
        with torch.no_grad(), fabric.autocast():
            seen = [model(inputs), last.value]
        probed = pruner.probe(model, inputs)
        if not rows:
            width = sum(part.shape[1] for part in seen)
            # Once here, once put together, once as the method works on it.
            missing = shortage(3 * 4 * count * width, f"the features and outputs of {count} samples")
            if missing := fabric.broadcast(missing):
                raise InputError(f"pruner: {missing}")
        seen += [] if probed is None else [probed[:, None]]
        rows.append([part.float().cpu() for part in seen])
    logits, features, *probed = (_together(torch.cat(parts), count) for parts in zip(*rows, strict=True))
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
