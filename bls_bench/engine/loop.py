"""The training loop: selection, steps, evaluation, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from bls_bench.config.run import Config
from bls_bench.data.base import Data
from bls_bench.engine import checkpoint
from bls_bench.engine.batching import arrangement, check_beside, fed, share_batch
from bls_bench.engine.diagnosis import Absence, rank_correlation, spread, weighing
from bls_bench.engine.evaluation import gathered, measured
from bls_bench.engine.learner import Learner
from bls_bench.engine.live import Live, Pace, rest
from bls_bench.engine.outcome import epoch_line, mean_loss, result_of
from bls_bench.engine.parts import MeanParts
from bls_bench.pruning.budget import run_length
from bls_bench.pruning.selection import Batch, Selection
from bls_bench.pruning.state import PruningState
from bls_bench.pruning.trace import Trace
from bls_bench.pruning.visits import Visits
from bls_bench.records import loss_table
from bls_bench.records.run import Record
from bls_bench.records.tracking import Tracker, is_due
from bls_bench.system.clock import Clock, peak_mib, start_peak, synchronize
from bls_bench.system.errors import InputError, folded
from bls_bench.system.stopping import Interrupted, StopSignal
from bls_bench.tasks.objective import Place


class Engine:
    """Trains one model on one data set.

    state: of the pruning. learner: what learns. done: the steps of the open epoch already made.
    history: the metrics of the finished epochs. trace: what they did with each sample, if that is kept.
    """

    def __init__(self, config: Config, data: Data, fabric: Fabric) -> None:
        """Build model, optimizer and pruning state; raises InputError for data that do not fit the config."""
        self.config, self.data, self.fabric = config, data, fabric
        self.batch_size = share_batch(config, len(data.train), fabric.world_size)
        check_beside(config, data, fabric.world_size)
        self.learner = Learner(config, data, fabric, self.batch_size)
        epochs, steps = config.trainer.epochs, config.trainer.steps
        length = run_length(epochs, steps, None if steps is None else self.batch_size)
        try:
            self.state = PruningState(
                len(data.train),
                length,
                config.pruner,
                config.scorer,
                config.seed,
                partial=config.task.partial,
                arrange=arrangement(config, data),
            )
        except ValueError as error:
            raise InputError(f"pruner.{error}") from None
        self.trace = Trace(len(data.train)) if config.trainer.look else None
        self.done = 0
        self.history: list[dict[str, Any]] = []
        self._absence, self._parts, self._clock = Absence(len(data.train)), MeanParts(), Clock()
        self._pace = Pace()
        self._weights: Tensor | None = None

    def fit(self, record: Record | None, tracker: Tracker, stop: StopSignal) -> dict[str, Any]:
        """Train from where the state stands to the last epoch; returns the result of the run.

        record: where process 0 writes; None on every other process.
        Raises Interrupted once a signal has come and the checkpoint is written.
        """
        saved = time.monotonic()
        while not self.state.past:
            metrics = self.epoch(record, stop)
            self.history.append(metrics)
            if record:
                record.append(metrics)
                tracker.log(metrics)
                if self.state.past or is_due(metrics["epoch"], self.state.num_epochs):
                    tracker.spread(metrics["epoch"], spread(self.state.scores, self._weights))
                Live.write(epoch_line(metrics, self.state.num_epochs, self.config.task.metrics))
            # One clock decides: all processes have to save, or none.
            due = time.monotonic() - saved >= self.config.trainer.checkpoint_seconds
            if not self.state.past and self.fabric.broadcast(due):
                self.save(record)
                saved = time.monotonic()
        return result_of(self.history, self.state, self.config.task.metrics)

    def epoch(self, record: Record | None, stop: StopSignal) -> dict[str, Any]:
        """Train one epoch, and evaluate if it is time to; returns its metrics, without noting them.

        Every process has to make this call. Raises Interrupted as `fit` does.
        """
        state, clock, epoch, device = self.state, self._clock, self.state.epoch, self.fabric.device
        start_peak(device)
        with clock.time("select"):
            # A resumed run finds the epoch open, with `done` of its batches already made.
            selection = state.selection or self._begin()
            batches = self._batches(selection)
        with clock.time("train"):
            stopped = self._train(batches, epoch, record is not None, stop)
            synchronize(device)
        if stopped:
            self.save(record)
            where = f"epoch {epoch + 1}, step {self.done} of {len(batches)}"
            raise Interrupted(stop.number, f"stopped in {where}; the same command goes on from there")
        with clock.time("select"):
            used = state.scores.clone()
            self._weights = selection.weights
            visits = state.end_epoch()
        if self.trace is not None:
            self.trace.note(visits, state.scores)
        if record and self.config.trainer.save_losses:
            loss_table.write(record.losses, epoch, state.num_epochs, state.num_samples, visits)
        with clock.time("eval"):
            values = self.measured() if self._is_due(epoch) else {}
            known = self._diagnosed(used, visits, epoch)
        # All processes make the same steps.
        trained = self._parts.count * self.fabric.world_size
        metrics = {
            "epoch": epoch,
            "loss": mean_loss(visits),
            **self._parts.means(self.fabric),
            **{metric.name: values.get(metric.name) for metric in self.config.task.metrics},
            "kept": len(selection),
            "trained": trained,
            "pruned_percent_epoch": 100 * (state.num_samples - len(selection)) / state.num_samples,
            "pruned_percent": state.pruned_percent,
            "prune_ratio": selection.prune_ratio,
            **known,
            **weighing(selection.weights, len(selection), state.num_samples),
            **clock.report(trained),
            "peak_memory_mib": peak_mib(device),
        }
        self.done, self._clock, self._parts = 0, Clock(), MeanParts()
        return metrics

    def measured(self) -> dict[str, float]:
        """Return the task's metrics over the test data; every process has to make this call."""
        with self.learner.compiler.eagerly():
            return measured(self.learner.evaluated, self.learner.objective, self.data.test, self.fabric)

    def _diagnosed(self, used: Tensor, visits: Visits, epoch: int) -> dict[str, float | None]:
        """Return what the scores (N,) that an epoch used knew, and note whom it trained on."""
        of_losses = None if visits.losses is None else rank_correlation(used[visits.indices], visits.losses)
        of_absence = self._absence.correlation(used, epoch)
        self._absence.trained(visits.indices, epoch)
        return {"score_loss_spearman": of_losses, "score_absence_spearman": of_absence}

    def _train(self, batches: list[Batch], epoch: int, show: bool, stop: StopSignal) -> bool:
        """Make the steps that are left of the epoch; returns whether a signal cut them short."""
        self.learner.model.train()
        left = batches[self.done :]
        parts = [self.learner.parts(batch.indices) for batch in left]
        fetched = self._clock.waiting(fed(self.data, parts, self.done, epoch, self.fabric))
        with Live(
            left,
            lambda: rest(self._pace, self.state, self.history),
            desc=f"epoch {epoch + 1}/{self.state.num_epochs}",
            total=len(batches),
            initial=self.done,
            disable=None if show else True,
        ) as bar:
            for batch in bar:
                self._set_rate(self._pace.at(self._progress(len(batches))))
                self._learn(batch, fetched)
                self.done += 1
                if stop.received(self.done, len(batches), self.fabric.device):
                    return True
        return False

    def _learn(self, batch: Batch, fetched: Iterator[Any]) -> None:
        place = Place(self.config.seed, self.state.epoch, self.done, self.fabric.global_rank)
        timed = self._clock.time("compile") if self.learner.compiles(batch) else nullcontext()
        with timed:
            loss = self.learner.learn(batch, fetched, place)
        scorer = self.config.scorer
        own = loss.observed if scorer.per_sample and loss.observed is not None else loss.value
        if loss.counted is None:
            self.state.record(batch.indices, own, loss.signals[scorer.signal] if scorer.signal else None)
        else:
            # A sample without a loss is neither easy nor hard: it keeps the score that it had.
            has_loss = loss.counted.cpu()
            if has_loss.any():
                self.state.record(batch.indices[has_loss], own[loss.counted])
            self.state.record_silent(batch.indices[~has_loss])
        self.state.steps_made += 1
        self._parts.add(loss.parts, len(batch.indices))

    def _is_due(self, epoch: int) -> bool:
        """Whether an evaluation ends this epoch."""
        return (epoch + 1) % self.config.trainer.eval_every == 0 or self.state.past

    def _progress(self, batches: int) -> float:
        """How far the run is, in [0, 1), before a step of an epoch that has so many."""
        if self.state.steps is not None:
            return self.state.steps_made / self.state.steps.number
        return (self.state.epoch + self.done / batches) / self.state.num_epochs

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
        if self.state.steps is None:
            return batches
        return batches[: self.state.steps.number - (self.state.steps_made - self.done)]

    def _set_rate(self, progress: float) -> None:
        for group in self.learner.optimizer.param_groups:
            group["lr"] = self.config.optimizer.lr * self.config.scheduler.factor(progress)

    def save(self, record: Record | None) -> None:
        """Write the checkpoint; every process has to make this call."""
        content = {
            "key": self.config.key,
            "training": self.learner.state_dict(),
            "pruning": self.state.state_dict(),
            "generators": gathered(checkpoint.generators(), self.fabric),
            "step": self.done,
            "parts": gathered(self._parts.state_dict(), self.fabric),
            "absence": self._absence.state_dict(),
            "trace": self.trace and self.trace.state_dict(),
            "seconds": self._clock.seconds,
            "history": self.history,
        }
        if record:
            record.restore()
            checkpoint.save(record.checkpoint, content)
        self.fabric.barrier()

    def load(self, path: Path) -> None:
        """Take back a checkpoint.

        Raises InputError for one that is cut short, of another run or other data, or of another number
        of processes.
        """
        content = checkpoint.load(path, self.config.key, self.state.num_samples)
        if self.trace is not None and not content.get("trace"):
            raise InputError(
                "trainer.look must be on from the first epoch: this run was begun without it, "
                f"go on without it or delete {path.parent} to start afresh"
            )
        states, rank = content["generators"], self.fabric.global_rank
        if len(states) != self.fabric.world_size:
            raise InputError(f"{path} was made by {len(states)} processes: go on with as many")
        try:
            self.state.load_state_dict(content["pruning"])
            self.learner.load_state_dict(content["training"])
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path} was made with other data or another model: {folded(error)}") from None
        # A step in which no sample had a loss has left nothing to record.
        silent = content["step"] - self.state.batches_recorded
        if silent < 0 or (silent and not self.state.partial):
            raise InputError(f"{path} is no whole checkpoint: delete it to start the run afresh")
        checkpoint.restore_generators(states[rank])
        self.done, self._clock.seconds = content["step"], content["seconds"]
        self._parts.load_state_dict(content["parts"][rank], self.fabric.device)
        self._absence.load_state_dict(content["absence"])
        if self.trace is not None:
            self.trace.load_state_dict(content["trace"])
        self.history = content["history"]
