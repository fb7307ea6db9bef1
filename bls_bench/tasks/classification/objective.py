"""Classification: cross-entropy, what an output says of its sample, and accuracy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.data.base import Images
from bls_bench.pruning.signals import SIGNALS
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.mixing import Mixing, rebuilt_losses
from bls_bench.tasks.classification.task import Classification
from bls_bench.tasks.objective import Loss, MeanMeasure, Objective, Place

Batch = tuple[Tensor, Tensor]


class Classifying(Objective):
    """A batch is (inputs, targets): what the model takes, and (b,) int64 classes."""

    def __init__(self, task: Classification, info: Images) -> None:
        super().__init__()
        self.smoothing, self.num_classes = task.label_smoothing, info.num_classes
        self.mixing = Mixing(task.mixup, task.cutmix, info.num_classes) if task.mixes else None
        self._last: LastInput | None = None

    def watch(self, model: nn.Module, wanted: frozenset[str]) -> None:
        """Look into the last layer for what needs its input; raises InputError for a single class."""
        if "margin" in wanted and self.num_classes < 2:
            raise InputError(
                f"scorer=margin needs a data set of at least 2 classes, got {self.num_classes}: "
                "take scorer=per_sample"
            )
        if wanted & {"gradient_norm", "outputs"}:
            self._last = LastInput(model)

    def loss(self, model: nn.Module, batch: Batch, place: Place, wanted: frozenset[str]) -> Loss:
        inputs, targets = batch
        if self.mixing is not None and len(inputs) % 2 == 0:  # only an epoch's last batch can be odd
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
        return Accuracy("accuracy")

    def outputs(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        assert self._last is not None, "watch was not told that outputs are wanted"
        logits = model(batch[0])
        return logits, self._last.value


class Accuracy(MeanMeasure):
    """The share of samples whose class has the highest logit, in percent."""

    def values(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs, targets = batch
        return (model(inputs).argmax(1) == targets).float() * 100


class LastInput:
    """Keeps what a model's last layer, its classifier, gets: `value`, (b, d), once the model has run."""

    value: Tensor

    def __init__(self, model: nn.Module) -> None:
        """Raise InputError if the model has no single linear last layer, named as timm's models do."""
        layer = model.get_classifier()  # type: ignore[operator]
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise InputError("model: this one has no single linear last layer, which this method looks into")
        layer.register_forward_pre_hook(self._keep)

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.value = inputs[0].detach().flatten(1)
