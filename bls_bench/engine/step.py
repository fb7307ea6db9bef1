"""One training step on the model: mixed, in parts, compiled and averaged where the config says so."""

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from bls_bench.config import Config
from bls_bench.data.base import Data, memory_format
from bls_bench.engine import sharding
from bls_bench.pruning.selection import Batch
from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.classification.mixing import rebuilt_losses
from bls_bench.tasks.classification.models import LastInput

BACKEND = "inductor"
NORMS = torch.nn.modules.batchnorm._BatchNorm


class Step:
    """The model, its optimizer, and what a step does with them.

    With per-sample losses under a per-sample scorer, the loss of a step is mean(w_i * l_i). Any other
    scorer is there for tasks that have only a batch loss, and is treated so throughout: L * mean(w).
    """

    def __init__(self, config: Config, data: Data, fabric: Fabric, batch_size: int) -> None:
        """batch_size: this process' share. Raises InputError where it cannot be cut or mixed as asked."""
        self.config, self.fabric, self.batch_size = config, fabric, batch_size
        trainer = config.trainer
        if batch_size % trainer.accumulate:
            raise InputError(
                f"trainer.accumulate={trainer.accumulate} must divide the batch of a process, {batch_size}"
            )
        self.part_size = batch_size // trainer.accumulate
        mixing = getattr(config.task, "mixing", None)
        self.mixing = mixing and mixing(data.num_classes, config.seed)
        if self.mixing and batch_size % 2:
            raise InputError(
                f"trainer.batch_size must be even on every process to mix samples in pairs, got {batch_size}"
            )
        # Initial weights come from the seed alone; after that every process has a stream of its own.
        torch.manual_seed(config.seed)
        model = config.model.build(data.channels, data.image_size, data.num_classes)
        if self.part_size == 1 and any(isinstance(part, NORMS) for part in model.modules()):
            raise InputError(
                f"trainer.batch_size must give every process at least 2 samples, and every part of "
                f"trainer.accumulate too, for model.name={config.model.name} has BatchNorm, "
                f"got {trainer.batch_size}"
            )
        model = model.to(memory_format=memory_format(data.image_size))
        # The one signal that the output does not tell.
        looks_inside = config.scorer.signal == "gradient_norm"
        self._last = LastInput(model, config.model.name) if looks_inside else None
        self.model = fabric.setup_module(model)
        self._sharded = sharding.is_sharded(model)
        # On a CPU fused optimizers copy weights that lie channels last, and are the slower ones.
        optimizer = config.optimizer.build(model, fused=fabric.device.type == "cuda")
        self.optimizer = fabric.setup_optimizers(optimizer)
        torch.manual_seed(config.seed + fabric.global_rank)
        self.average = None if trainer.ema is None else ModelEmaV3(self.model.module, decay=trainer.ema)
        self._to_compile = trainer.compile != "none"
        self._compiled = False

    @property
    def evaluated(self) -> nn.Module:
        """The bare model that counts: its weights averaged over the steps, if so configured."""
        return self.model.module if self.average is None else self.average.module

    def compiles(self, inputs: Tensor) -> bool:
        """Whether the step on `inputs` will be the one that compiles: the first on a whole batch."""
        return self._to_compile and len(inputs) == self.batch_size

    def eagerly(self) -> AbstractContextManager[Any]:
        """Where compiled code is not to run: on shapes that come once, each of which it would compile."""
        return torch.compiler.set_stance("force_eager") if self._compiled else nullcontext()

    def __call__(
        self, batch: Batch, inputs: Tensor, targets: Tensor, *place: int
    ) -> tuple[Tensor, Tensor | None]:
        """Make a step; returns the unweighted loss to record, and the signal if the scorer asks for one.

        place: epoch, step and process.
        """
        if self.compiles(inputs):
            self._compile()
        labels, signal = targets, self.config.scorer.signal
        seen: list[tuple[Tensor, ...]] | None = [] if signal else None
        # Only an epoch's last batch can be odd. It is trained on as it is.
        if self.mixing and len(inputs) % 2 == 0:
            inputs, targets = self.mixing(inputs, targets, *place)
            seen = []
        with nullcontext() if len(inputs) == self.batch_size else self.eagerly():
            loss = self._descend(batch, inputs, targets, seen)
        if self.average is not None:
            self.average.update(self.model.module)
        if not seen or not self.config.scorer.per_sample:
            return loss, None
        logits, *features = (torch.cat(parts) for parts in zip(*seen, strict=True))
        if signal is None:
            return rebuilt_losses(logits, labels), None
        return loss, self.config.task.signal(signal, logits, labels, features[0] if features else None)

    def _descend(
        self, batch: Batch, inputs: Tensor, targets: Tensor, seen: list[tuple[Tensor, ...]] | None
    ) -> Tensor:
        """Sum the gradients of the parts and update the weights; returns the loss of the whole batch.

        seen: if given, gets the model's outputs, and its last layer's inputs where those are looked at.
        """

        def model(part: Tensor) -> Tensor:
            output = self.model(part)
            if seen is not None:
                seen.append((output.detach(), *([] if self._last is None else [self._last.value])))
            return output

        # BatchNorm needs two samples in a part; the parts of a short batch may be one smaller.
        parts = min(-(-len(inputs) // self.part_size), len(inputs) // min(self.part_size, 2))
        losses, shares = [], []
        pieces = zip(
            split(batch, parts), inputs.tensor_split(parts), targets.tensor_split(parts), strict=True
        )
        for number, (piece, *data) in enumerate(pieces, start=1):
            with self.fabric.no_backward_sync(self.model, enabled=number < parts):
                loss = self.config.task.loss(model, *data)
                total = piece.weighted(loss if self.config.scorer.per_sample else loss.mean())
                shares.append(len(piece.indices) / len(inputs))
                self.fabric.backward(total * shares[-1])
            losses.append(loss.detach())
        if self.config.trainer.grad_clip is not None:
            self.fabric.clip_gradients(
                self.model, self.optimizer, max_norm=self.config.trainer.grad_clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        if losses[0].ndim:
            return torch.cat(losses)
        return sum(loss * share for loss, share in zip(losses, shares, strict=True))

    def _compile(self) -> None:
        """Have the model compiled by its next call; without a compiler, warn and go on without."""
        self._to_compile = False
        mode = self.config.trainer.compile
        try:
            probe = torch.compile(torch.sin, dynamic=False, backend=BACKEND)
            probe(torch.zeros(2, device=self.fabric.device))
        except Exception as error:  # every platform lacks something else
            warnings.warn(
                f"trainer.compile={mode}: no compiler here, training without ({folded(error)})", stacklevel=2
            )
            return
        if mode == "max-autotune" and self.config.trainer.accumulate > 1:
            mode = "max-autotune-no-cudagraphs"  # a graph's gradients are overwritten, not added up
        self.model.module.compile(mode=mode, dynamic=False, backend=BACKEND)
        self._compiled = True

    def weights(self) -> dict[str, Tensor]:
        """Return the state of the model that counts; with FSDP that of process 0, elsewhere nothing."""
        return sharding.whole_weights(self.model.module) if self._sharded else self.evaluated.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """Return all that training goes on from; with FSDP gathered on process 0."""
        if self._sharded:
            return sharding.whole_state(self.model.module, self.optimizer.optimizer)
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average and self.average.module.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._sharded:
            sharding.load_whole(self.model.module, self.optimizer.optimizer, state)
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])


def split(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch into `parts` of about one size; the mean weight stays that of the whole."""
    weights = [None] * parts if batch.weights is None else batch.weights.tensor_split(parts)
    pieces = zip(batch.indices.tensor_split(parts), weights, strict=True)
    return [Batch(indices, some, batch.mean_weight) for indices, some in pieces]
