"""The training loop: selection, steps, evaluation, checkpoints."""

import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from bls_bench import checkpoint
from bls_bench.config import Config
from bls_bench.correlation import score_loss_correlation
from bls_bench.data.base import Data, Split
from bls_bench.errors import InputError, folded
from bls_bench.pruning.selection import Batch, Selection
from bls_bench.pruning.state import PruningState
from bls_bench.records import Record
from bls_bench.stopping import Interrupted, StopSignal
from bls_bench.tracking import Tracker

EVAL_BATCH = 512
NORMS = torch.nn.modules.batchnorm._BatchNorm


class Engine:
    """Trains one model on one data set.

    With per-sample losses under a per-sample scorer, the loss of a step is mean(w_i * l_i). Any other
    scorer is there for tasks that have only a batch loss, and is treated so throughout: L * mean(w).
    """

    def __init__(self, config: Config, data: Data, fabric: Fabric) -> None:
        """Build model, optimizer and pruning state; raises InputError for sizes that do not fit."""
        self.config, self.data, self.fabric = config, data, fabric
        self.batch_size = share_batch(config, len(data.train), fabric.world_size)
        # Initial weights come from the seed alone; after that every process has a stream of its own.
        torch.manual_seed(config.seed)
        model = config.model.build(data.channels, data.image_size, data.num_classes)
        self.model, self.optimizer = fabric.setup(model, config.optimizer.build(model))
        torch.manual_seed(config.seed + fabric.global_rank)
        if self.batch_size == 1 and any(isinstance(part, NORMS) for part in model.modules()):
            raise InputError(
                f"trainer.batch_size must give every process at least 2 samples, for model.name="
                f"{config.model.name} has BatchNorm, got {config.trainer.batch_size}"
            )
        self.state = PruningState(
            len(data.train), config.trainer.epochs, config.pruner, config.scorer, config.seed
        )
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self._train_seconds = 0.0

    def fit(self, record: Record | None, tracker: Tracker, stop: StopSignal) -> dict[str, Any]:
        """Train from where the state stands to the last epoch; returns the result of the run.

        record: where process 0 writes; None on every other process.
        Raises Interrupted once a signal has come and the checkpoint is written.
        """
        saved = time.monotonic()
        while self.state.epoch < self.state.num_epochs:
            metrics = self._epoch(record, stop)
            self.history.append(metrics)
            if record:
                record.append(metrics)
                tracker.log(metrics)
                tqdm.write(line(metrics, self.state.num_epochs, self.config.task.metric))
            last = self.state.epoch == self.state.num_epochs
            if not last and time.monotonic() - saved >= self.config.trainer.checkpoint_seconds:
                self.save(record)
                saved = time.monotonic()
        return self._result()

    def _epoch(self, record: Record | None, stop: StopSignal) -> dict[str, Any]:
        config, state, epoch = self.config, self.state, self.state.epoch
        started = time.perf_counter()
        # A resumed run finds the epoch open, with `step` of its batches already made.
        selection = state.selection or self._begin()
        batches = self._batches(selection)
        select_seconds = time.perf_counter() - started

        started = time.perf_counter()
        self.model.train()
        left = batches[self.step :]
        fetched = self.data.train.batches([batch.indices for batch in left], epoch, self.fabric.device)
        bar = tqdm(
            zip(left, fetched, strict=True),
            desc=f"epoch {epoch + 1}/{state.num_epochs}",
            total=len(batches),
            initial=self.step,
            leave=False,
            disable=None if record else True,
        )
        for batch, (inputs, targets) in bar:
            self._set_rate((epoch + self.step / len(batches)) / state.num_epochs)
            self._step(batch, inputs, targets)
            self.step += 1
            if stop.received(self.step, len(batches), self.fabric.device):
                bar.close()
                self._train_seconds += time.perf_counter() - started
                self.save(record)
                where = f"epoch {epoch + 1}, step {self.step} of {len(batches)}"
                raise Interrupted(stop.number, f"stopped in {where}; the same command goes on from there")
        used = state.scores.clone()
        visits = state.end_epoch()
        train_seconds = self._train_seconds + time.perf_counter() - started
        self.step, self._train_seconds = 0, 0.0

        started = time.perf_counter()
        value = self.evaluate(self.data.test)
        correlation = None
        if visits.losses is not None:
            correlation = score_loss_correlation(used[visits.indices], visits.losses)
        return {
            "epoch": epoch,
            "loss": float(
                (visits.batch_losses.double() * visits.batch_sizes).sum() / visits.batch_sizes.sum()
            ),
            config.task.metric: value,
            "kept": len(selection),
            "trained": len(visits.indices),
            "pruned_percent_epoch": 100 * (state.num_samples - len(selection)) / state.num_samples,
            "pruned_percent": state.pruned_percent,
            "prune_ratio": selection.prune_ratio,
            "score_loss_spearman": correlation,
            "train_seconds": train_seconds,
            "select_seconds": select_seconds,
            "eval_seconds": time.perf_counter() - started,
        }

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
        loss = self.config.task.loss(self.model, inputs, targets)
        self.state.record(batch.indices, loss)
        total = batch.weighted(loss if self.config.scorer.per_sample else loss.mean())
        self.fabric.backward(total)
        if self.config.trainer.grad_clip is not None:
            self.fabric.clip_gradients(
                self.model, self.optimizer, max_norm=self.config.trainer.grad_clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _set_rate(self, progress: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.optimizer.lr * self.config.scheduler.factor(progress)

    @torch.no_grad()
    def evaluate(self, split: Split) -> float:
        """Return the task's metric over `split`, exact under any number of processes."""
        fabric = self.fabric
        # Past the wrapper: DDP would wait for ranks that have a batch more, and each rank's own running
        # statistics would count. Process 0's are taken, as in DDP's next training step.
        model = self.model.module
        if fabric.world_size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)
        model.eval()
        own = torch.arange(fabric.global_rank, len(split), fabric.world_size)
        total = torch.zeros((), dtype=torch.float64, device=fabric.device)
        for inputs, targets in split.batches(own.split(EVAL_BATCH), 0, fabric.device):
            with fabric.autocast():
                total += self.config.task.evaluate(model, inputs, targets).sum()
        if fabric.world_size > 1:
            dist.all_reduce(total)
        return float(total) / len(split)

    def save(self, record: Record | None) -> None:
        """Write the checkpoint; every process has to make this call."""
        content = {
            "key": self.config.key,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pruning": self.state.state_dict(),
            "generators": self._gather(checkpoint.generators()),
            "step": self.step,
            "train_seconds": self._train_seconds,
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
            self.model.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path} was made with other data or another model: {folded(error)}") from None
        checkpoint.restore_generators(states[self.fabric.global_rank])
        self.step, self._train_seconds = content["step"], content["train_seconds"]
        self.history = content["history"]

    def _gather(self, value: Any) -> list[Any]:
        if self.fabric.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.fabric.world_size
        dist.all_gather_object(values, value)
        return values

    def _result(self) -> dict[str, Any]:
        metric = self.config.task.metric
        best = max(self.history, key=lambda metrics: metrics[metric])
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
            **{
                name: sum(metrics[name] for metrics in self.history)
                for name in ("train_seconds", "select_seconds", "eval_seconds")
            },
        }


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
    text = (
        f"epoch {metrics['epoch'] + 1:>3}/{epochs}  loss {metrics['loss']:.4f}  "
        f"{metric} {metrics[metric]:.2f}%  kept {metrics['kept']}  "
        f"pruned so far {metrics['pruned_percent']:.1f}%"
    )
    if metrics["score_loss_spearman"] is not None:
        text += f"  score~loss {metrics['score_loss_spearman']:+.2f}"
    return text
