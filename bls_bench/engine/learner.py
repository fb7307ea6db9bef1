"""What learns: the model, its optimizer, and one step of both; in parts and averaged as the config says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from bls_bench.config.run import Config
from bls_bench.data.base import Data
from bls_bench.engine import sharding
from bls_bench.engine.compiling import Compiler
from bls_bench.pruning.selection import Batch
from bls_bench.system.errors import InputError
from bls_bench.tasks.objective import Loss, Place

NORMS = torch.nn.modules.batchnorm._BatchNorm


class Learner:
    """The model, its optimizer and the objective, and what a step does with them.

    With per-sample losses under a scorer that asks for them, the loss of a step is mean(w_i * l_i). Any other
    scorer is there for tasks that have only a batch loss, which is the loss of all steps then: L * mean(w).
    """

    def __init__(self, config: Config, data: Data, fabric: Fabric, batch_size: int) -> None:
        """batch_size: this process' share. Raises InputError where it cannot be cut, or parts do not fit."""
        self.config, self.fabric, self.batch_size = config, fabric, batch_size
        trainer = config.trainer
        self.part_size = part_size(config, batch_size)
        self.wanted = config.scorer.needs - {"per_sample"}
        # Initial weights come from the seed alone; after that every process has a stream of its own.
        torch.manual_seed(config.seed)
        model = config.model.build(data.info)
        if self.part_size == 1 and any(isinstance(part, NORMS) for part in model.modules()):
            raise InputError(
                "trainer.batch_size must give every process at least 2 samples, and every part of "
                f"trainer.accumulate too, for the model has BatchNorm, got {trainer.batch_size}"
            )
        self.objective = config.task.build(data, config.seed).to(fabric.device)
        self.objective.watch(model, self.wanted)
        self.model = fabric.setup_module(model)
        self._sharded = sharding.is_sharded(model)
        # On a CPU fused optimizers copy weights that lie channels last, and are the slower ones.
        optimizer = config.optimizer.build(model, fused=fabric.device.type == "cuda")
        self.optimizer: Any = fabric.setup_optimizers(optimizer)
        torch.manual_seed(config.seed + fabric.global_rank)
        self.average = None if trainer.ema is None else ModelEmaV3(self.model.module, decay=trainer.ema)
        self.compiler = Compiler(trainer.compile, accumulates=trainer.accumulate > 1, device=fabric.device)

    @property
    def evaluated(self) -> nn.Module:
        """The bare model that counts: its weights averaged over the steps, if so configured."""
        return self.model.module if self.average is None else self.average.module

    def parts(self, indices: Tensor) -> list[Tensor]:
        """Cut the (b,) samples of a step into the parts that go through the model one after the other."""
        return list(indices.tensor_split(self._count(len(indices))))

    def _count(self, size: int) -> int:
        # BatchNorm needs two samples in a part; the parts of a short batch may be one smaller.
        return min(-(-size // self.part_size), size // min(self.part_size, 2))

    def compiles(self, batch: Batch) -> bool:
        """Whether the step on this batch will be the one that compiles: the first on a whole batch."""
        return self.compiler.pending and len(batch.indices) == self.batch_size

    def learn(self, batch: Batch, fetched: Iterator[Any], place: Place) -> Loss:
        """Make a step; returns the unweighted loss of the whole batch, detached, for the record.

        fetched: gives the parts of the batch, in their order.
        """
        if self.compiles(batch):
            self.compiler.compile(self.model.module)
        whole = len(batch.indices) == self.batch_size
        with self.compiler.eagerly(unless=whole):
            loss = self._descend(batch, fetched, place)
        if self.average is not None:
            self.average.update(self.model.module)
        return loss

    def _descend(self, batch: Batch, fetched: Iterator[Any], place: Place) -> Loss:
        """Sum the gradients of the parts and update the weights."""
        pieces = cut(batch, self._count(len(batch.indices)))
        losses, shares = [], [len(piece.indices) / len(batch.indices) for piece in pieces]
        for number, (piece, share) in enumerate(zip(pieces, shares, strict=True)):
            with self.fabric.no_backward_sync(self.model, enabled=number + 1 < len(pieces)):
                part = next(fetched)
                loss = self.objective.loss(self.model, part, place._replace(part=number), self.wanted)
                per_sample = self.config.scorer.per_sample
                total = piece.weighted(loss.value if per_sample else loss.value.mean()) * share
                # Batches beside are of one size, however short this one is, and so are their parts.
                self.fabric.backward(total if loss.beside is None else total + loss.beside / len(pieces))
            losses.append(loss._replace(value=loss.value.detach(), beside=None))
        if self.config.trainer.grad_clip is not None:
            self.fabric.clip_gradients(
                self.model, self.optimizer, max_norm=self.config.trainer.grad_clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        return joined(losses, shares)

    @torch.no_grad()
    def show(self, data: Data, folder: Path) -> None:
        """Have the task draw what the model does; of a model in parts, which needs all processes, nothing."""
        if not self._sharded:
            with self.fabric.autocast(), self.compiler.eagerly():
                self.objective.show(self.evaluated.eval(), data, folder)

    def weights(self) -> dict[str, Tensor]:
        """Return the state of the model that counts; with FSDP that of process 0, elsewhere nothing."""
        return sharding.whole_weights(self.model.module) if self._sharded else self.evaluated.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """Return all that training goes on from; with FSDP gathered on process 0."""
        if self._sharded:
            state = sharding.whole_state(self.model.module, self.optimizer.optimizer)
        else:
            state = {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average and self.average.module.state_dict(),
            }
        return {**state, "objective": self.objective.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.objective.load_state_dict(state["objective"])
        if self._sharded:
            sharding.load_whole(self.model.module, self.optimizer.optimizer, state)
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])


def part_size(config: Config, batch_size: int) -> int:
    """Return how many samples go through the model at once.

    Raises InputError where trainer.accumulate does not divide the batch, or the task cannot take the part.
    """
    accumulate, multiple = config.trainer.accumulate, config.task.batch_multiple
    if batch_size % accumulate:
        raise InputError(f"trainer.accumulate={accumulate} must divide the batch of a process, {batch_size}")
    size = batch_size // accumulate
    if size % multiple:
        raise InputError(
            f"trainer.batch_size must give every process, and every part of trainer.accumulate, a multiple "
            f"of {multiple} samples for this task as it is set, got {config.trainer.batch_size}"
        )
    return size


def cut(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch into `parts` of about one size; the mean weight stays that of the whole."""
    weights = [None] * parts if batch.weights is None else batch.weights.tensor_split(parts)
    pieces = zip(batch.indices.tensor_split(parts), weights, strict=True)
    return [Batch(indices, some, batch.mean_weight) for indices, some in pieces]


def joined(losses: list[Loss], shares: list[float]) -> Loss:
    """Return the loss of a batch from those of its parts, each with its share of the samples."""
    if len(losses) == 1:
        return losses[0]

    def mean(values: list[Tensor]) -> Tensor:
        total = values[0] * shares[0]
        for value, share in zip(values[1:], shares[1:], strict=True):
            total = total + value * share
        return total

    values = [loss.value for loss in losses]
    observed = [loss.observed for loss in losses if loss.observed is not None]
    counted = [loss.counted for loss in losses if loss.counted is not None]
    return Loss(
        torch.cat(values) if values[0].ndim else mean(values),
        {name: mean([loss.parts[name] for loss in losses]) for name in losses[0].parts},
        {name: torch.cat([loss.signals[name] for loss in losses]) for name in losses[0].signals},
        torch.cat(observed) if observed else None,
        torch.cat(counted) if counted else None,
    )
