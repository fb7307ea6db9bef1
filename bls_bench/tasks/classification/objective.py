"""Classification: cross-entropy, what an output says of its sample, and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.pruning.signals import SIGNALS
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.mixing import Mixing, rebuilt_losses
from bls_bench.tasks.objective import Loss, Measure, Objective, Place

# What the model takes and returns logits (b, C) for, and (b,) int64 classes.
Batch = tuple[Any, Tensor]


class Classifying(Objective):
    """Of batches (inputs, targets), or of whatever `read` makes such a pair of."""

    def __init__(self, num_classes: int, smoothing: float = 0.0, mixing: Mixing | None = None) -> None:
        super().__init__()
        self.num_classes, self.smoothing, self.mixing = num_classes, smoothing, mixing
        self._last: LastInput | None = None

    def read(self, batch: Any) -> Batch:
        """Return the inputs and targets of a batch."""
        return batch

    def watch(self, model: nn.Module, wanted: frozenset[str]) -> None:
        """Look into the last layer for what needs its input; raises InputError for a single class."""
        if "margin" in wanted and self.num_classes < 2:
            raise InputError(
                f"scorer=margin needs a data set of at least 2 classes, got {self.num_classes}: "
                "take scorer=per_sample"
            )
        if wanted & {"gradient_norm", "outputs"}:
            self._last = LastInput(model)

    def loss(self, model: nn.Module, batch: Any, place: Place, wanted: frozenset[str]) -> Loss:
        inputs, targets = self.read(batch)
        if self.mixing is not None and len(targets) % 2 == 0:  # only an epoch's last batch can be odd
            mixed, shares = self.mixing(inputs, targets, place)
            logits = model(mixed)
            return Loss(
                self._cross_entropy(logits, shares), observed=rebuilt_losses(logits.detach(), targets)
            )
        logits = model(inputs)
        seen, features = logits.detach(), None if self._last is None else self._last.value
        return Loss(
            self._cross_entropy(logits, targets),
            signals={name: SIGNALS[name](seen, targets, features) for name in wanted},
        )

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """targets: (b,) int64 classes or (b, C) probabilities."""
        return F.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=self.smoothing)

    def measure(self) -> Accuracy:
        return Accuracy(self.read)

    def outputs(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        assert self._last is not None, "watch was not told that outputs are wanted"
        logits = model(self.read(batch)[0])
        return logits, self._last.value


class Accuracy(Measure):
    """The share of samples whose class has the highest logit, in percent; also the mean over classes.

    Classes of which there is no sample do not count.
    """

    def __init__(self, read: Callable[[Any], Batch]) -> None:
        self.read = read
        # (2, C): of each class, how many were right, and how many there were.
        self._counts: Tensor | int = 0

    def update(self, model: nn.Module, batch: Any) -> None:
        inputs, targets = self.read(batch)
        logits = model(inputs)
        right = (logits.argmax(1) == targets).long()
        # Kept on the device: numbers here would wait for it in every batch.
        counts = right.new_zeros(2, logits.shape[1])
        self._counts = self._counts + counts.index_add_(
            1, targets, torch.stack([right, torch.ones_like(right)])
        )

    def state(self) -> Tensor | int:
        return self._counts.cpu() if isinstance(self._counts, Tensor) else 0

    def merge(self, states: Sequence[Tensor | int]) -> None:
        self._counts = sum(states)

    def compute(self) -> dict[str, float]:
        assert isinstance(self._counts, Tensor), "no batch was measured"
        right, all_ = self._counts.double().cpu()
        there = all_ > 0
        return {
            "accuracy": 100 * float(right.sum()) / float(all_.sum()),
            "balanced_accuracy": 100 * float((right[there] / all_[there]).mean()),
        }


class LastInput:
    """Keeps what a model's last layer, its classifier, gets: `value`, (b, d), once the model has run."""

    value: Tensor

    def __init__(self, model: nn.Module) -> None:
        """Raise InputError if the model has no single linear last layer, named as timm names it."""
        layer = model.get_classifier()  # type: ignore[operator]
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise InputError("model: this one has no single linear last layer, which this method looks into")
        layer.register_forward_pre_hook(self._keep)

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.value = inputs[0].detach().flatten(1)
