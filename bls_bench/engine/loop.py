"""The training loop: selection, steps, evaluation, checkpoints."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from bls_bench.config import Config
from bls_bench.data.base import Data, Split
from bls_bench.engine import checkpoint
from bls_bench.engine.correlation import score_loss_correlation
from bls_bench.engine.evaluation import evaluate
from bls_bench.engine.step import Step
from bls_bench.pruning.selection import Batch, Selection
from bls_bench.pruning.state import PruningState
from bls_bench.records import loss_table as losses
from bls_bench.records.run import Record
from bls_bench.records.tracking import Tracker
from bls_bench.system.clock import Clock, peak_mib, start_peak, synchronize, totals
from bls_bench.system.errors import InputError, folded
from bls_bench.system.stopping import Interrupted, StopSignal


class Engine:
    """Trains one model on one data set."""

    def __init__(self, config: Config, data: Data, fabric: Fabric) -> None:
        """Build model, optimizer and pruning state; raises InputError for data that do not fit the config."""
        self.config, self.data, self.fabric = config, data, fabric
        self.batch_size = share_batch(config, len(data.train), fabric.world_size)
        if config.scorer.signal == "margin" and data.num_classes < 2:
            raise InputError(
                f"scorer=margin needs a data set of at least 2 classes, got {data.num_classes}: "
                "take scorer=per_sample"
            )
        self._one_step = Step(config, data, fabric, self.batch_size)
        self.model, self.optimizer = self._one_step.model, self._one_step.optimizer
        self.state = PruningState(
            len(data.train), config.trainer.epochs, config.pruner, config.scorer, config.seed
        )
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self._clock = Clock()

    def fit(self, record: Record | None, tracker: Tracker, stop: StopSignal) -> dict[str, Any]:
        """Train from where the state stands to the last epoch; returns the result of the run.

        record: where process 0 writes; None on every other process.
        Raises Interrupted once a signal has come and the checkpoint is written.
        """
        saved = time.monotonic()
        while self.state.epoch < self.state.num_epochs:
            metrics = self.epoch(record, stop)
            self.history.append(metrics)
            if record:
                record.append(metrics)
                tracker.log(metrics)
                tqdm.write(line(metrics, self.state.num_epochs, self.config.task.metric))
            last = self.state.epoch == self.state.num_epochs
            # One clock decides: all processes have to save, or none.
            due = time.monotonic() - saved >= self.config.trainer.checkpoint_seconds
            if not last and self.fabric.broadcast(due):
                self.save(record)
                saved = time.monotonic()
        return self._result()

    def epoch(self, record: Record | None, stop: StopSignal) -> dict[str, Any]:
        """Train one epoch, and evaluate if it is time to; returns its metrics, without noting them.

        Every process has to make this call. Raises Interrupted as `fit` does.
        """
        state, clock, epoch, device = self.state, self._clock, self.state.epoch, self.fabric.device
        start_peak(device)
        with clock.time("select"):
            # A resumed run finds the epoch open, with `step` of its batches already made.
            selection = state.selection or self._begin()
            batches = self._batches(selection)
        with clock.time("train"):
            stopped = self._train(batches, epoch, record is not None, stop)
            synchronize(device)
        if stopped:
            self.save(record)
            where = f"epoch {epoch + 1}, step {self.step} of {len(batches)}"
            raise Interrupted(stop.number, f"stopped in {where}; the same command goes on from there")
        with clock.time("select"):
            used = state.scores.clone()
            visits = state.end_epoch()
        if record and self.config.trainer.save_losses:
            losses.write(record.losses, epoch, state.num_epochs, state.num_samples, visits)
        with clock.time("eval"):
            value = self.evaluate(self.data.test) if self._is_due(epoch) else None
            correlation = None
            if visits.losses is not None:
                correlation = score_loss_correlation(used[visits.indices], visits.losses)
        self.step, self._clock = 0, Clock()
        return {
            "epoch": epoch,
            "loss": float(
                (visits.batch_losses.double() * visits.batch_sizes).sum() / visits.batch_sizes.sum()
            ),
            self.config.task.metric: value,
            "kept": len(selection),
            "trained": len(visits.indices),
            "pruned_percent_epoch": 100 * (state.num_samples - len(selection)) / state.num_samples,
            "pruned_percent": state.pruned_percent,
            "prune_ratio": selection.prune_ratio,
            "score_loss_spearman": correlation,
            **clock.report(len(visits.indices)),
            "peak_memory_mib": peak_mib(device),
        }

    def _train(self, batches: list[Batch], epoch: int, show: bool, stop: StopSignal) -> bool:
        """Make the steps that are left of the epoch; returns whether a signal cut them short."""
        self.model.train()
        left = batches[self.step :]
        fetched = self.data.train.batches([batch.indices for batch in left], epoch, self.fabric.device)
        epochs = self.state.num_epochs
        with tqdm(
            zip(left, self._clock.waiting(fetched), strict=True),
            desc=f"epoch {epoch + 1}/{epochs}",
            total=len(batches),
            initial=self.step,
            leave=False,
            disable=None if show else True,
        ) as bar:
            for batch, (inputs, targets) in bar:
                self._set_rate((epoch + self.step / len(batches)) / epochs)
                self._step(batch, inputs, targets)
                self.step += 1
                if stop.received(self.step, len(batches), self.fabric.device):
                    return True
        return False

    def _is_due(self, epoch: int) -> bool:
        """Whether an evaluation ends this epoch."""
        return (epoch + 1) % self.config.trainer.eval_every == 0 or epoch + 1 == self.state.num_epochs

    def _begin(self) -> Selection:
        try:
            return self.state.begin_epoch()
        except ValueError as error:
            raise InputError(f"pruner: {error}") from None

    def _batches(self, selection: Selection) -> list[Batch]:
        """Return this process' batches of an epoch, weights on the device."""
        own = selection.shard(self.fabric.global_rank, self.fabric.world_size)
        batches = list(own.weights_to(self.fabric.device).batches(self.batch_size))
        # BatchNorm cannot train on a single sample: one left over sits the epoch out.
        if self.batch_size > 1 and batches and len(batches[-1].indices) == 1:
            batches.pop()
        if not batches:
            raise InputError(f"pruner: it leaves only {len(selection)} samples, too few for a step")
        return batches

    def _step(self, batch: Batch, inputs: Tensor, targets: Tensor) -> None:
        timed = self._clock.time("compile") if self._one_step.compiles(inputs) else nullcontext()
        with timed:
            place = self.state.epoch, self.step, self.fabric.global_rank
            self.state.record(batch.indices, *self._one_step(batch, inputs, targets, *place))

    def _set_rate(self, progress: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.optimizer.lr * self.config.scheduler.factor(progress)

    def evaluate(self, split: Split) -> float:
        with self._one_step.eagerly():
            return evaluate(self._one_step.evaluated, self.config.task, split, self.fabric)

    def weights(self) -> dict[str, Tensor]:
        """Return the state of the model that was evaluated; every process has to make this call."""
        return self._one_step.weights()

    def save(self, record: Record | None) -> None:
        """Write the checkpoint; every process has to make this call."""
        content = {
            "key": self.config.key,
            "training": self._one_step.state_dict(),
            "pruning": self.state.state_dict(),
            "generators": self._gather(checkpoint.generators()),
            "step": self.step,
            "seconds": self._clock.seconds,
            "history": self.history,
        }
        if record:
            checkpoint.save(record.checkpoint, content)
        self.fabric.barrier()

    def load(self, path: Path) -> None:
        """Take back a checkpoint.

        Raises InputError for one that is cut short, of another run or other data, or of another number
        of processes.
        """
        content = checkpoint.load(path, self.config.key, self.state.num_samples)
        states = content["generators"]
        if len(states) != self.fabric.world_size:
            raise InputError(f"{path} was made by {len(states)} processes: go on with as many")
        try:
            self.state.load_state_dict(content["pruning"])
            self._one_step.load_state_dict(content["training"])
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path} was made with other data or another model: {folded(error)}") from None
        checkpoint.restore_generators(states[self.fabric.global_rank])
        self.step, self._clock.seconds = content["step"], content["seconds"]
        self.history = content["history"]

    def _gather(self, value: Any) -> list[Any]:
        if self.fabric.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.fabric.world_size
        dist.all_gather_object(values, value)
        return values

    def _result(self) -> dict[str, Any]:
        metric = self.config.task.metric
        evaluated = [metrics for metrics in self.history if metrics[metric] is not None]
        best = max(evaluated, key=lambda metrics: metrics[metric])
        return {
            "status": "finished",
            f"{metric}_last": self.history[-1][metric],
            f"{metric}_best": best[metric],
            "best_epoch": best["epoch"],
            "pruned_percent": self.state.pruned_percent,
            "loss_last": self.history[-1]["loss"],
            "epochs": len(self.history),
            "num_samples": self.state.num_samples,
            "samples_trained": sum(metrics["trained"] for metrics in self.history),
            **self._scoring(),
            **totals(self.history),
        }

    def _scoring(self) -> dict[str, float]:
        """What a static pruner's scoring run took, and the pruned % with it counted as training."""
        cost = self.state.pruner.cost
        if not cost:
            return {}
        share = cost["scoring_samples"] / (self.state.num_samples * self.state.epochs_asked)
        return {**cost, "pruned_percent_with_scoring": self.state.pruned_percent - 100 * share}


def share_batch(config: Config, num_samples: int, world_size: int) -> int:
    """Return each process' share of the batch; raises InputError for sizes that do not fit."""
    size = config.trainer.batch_size
    if size > num_samples:
        raise InputError(f"trainer.batch_size must be at most the {num_samples} training samples, got {size}")
    if size % world_size:
        raise InputError(
            f"trainer.batch_size={size} cannot be shared by {world_size} processes: take a multiple"
        )
    window, batches = getattr(config.pruner, "window", 1), -(-num_samples // size)
    if window > batches:
        raise InputError(f"pruner.window must be at most the {batches} batches of an epoch, got {window}")
    return size // world_size


def line(metrics: dict[str, Any], epochs: int, metric: str) -> str:
    """One epoch in one line for the terminal."""
    value = "" if metrics[metric] is None else f"{metric} {metrics[metric]:.2f}%  "
    text = (
        f"epoch {metrics['epoch'] + 1:>3}/{epochs}  loss {metrics['loss']:.4f}  {value}"
        f"kept {metrics['kept']}  pruned so far {metrics['pruned_percent']:.1f}%"
    )
    if metrics["score_loss_spearman"] is not None:
        text += f"  score~loss {metrics['score_loss_spearman']:+.2f}"
    return text
