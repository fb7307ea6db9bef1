"""Classification into one of several classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.signals import SIGNALS
from bls_bench.system.lazy import torch
from bls_bench.tasks.classification.mixing import Mixing

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Cross-entropy and top-1 accuracy; the model gives (b, classes).

    Targets are (b,) int64 classes or, for training, (b, classes) probabilities. `mixup` and `cutmix` are
    the parameters of their Beta distributions, 0 for none.
    """

    per_sample: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    signals: ClassVar[tuple[str, ...]] = tuple(SIGNALS)
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")
        for name in ("mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")

    def mixing(self, classes: int, seed: int) -> Mixing | None:
        """What mixes the batches of a run with this seed, if anything does."""
        if self.mixup == self.cutmix == 0:
            return None
        return Mixing(self.mixup, self.cutmix, classes, seed)

    def unmixed(self) -> Classification:
        """The same task on the samples as they are."""
        return replace(self, mixup=0.0, cutmix=0.0)

    def signal(self, name: str, logits: Tensor, targets: Tensor, features: Tensor | None) -> Tensor:
        """Return one of SIGNALS, (b,) float32; features: (b, d) or None, the last layer's input."""
        return SIGNALS[name](logits, targets, features)

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(
            model(inputs).float(), targets, reduction="none", label_smoothing=self.label_smoothing
        )

    def evaluate(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        return (model(inputs).argmax(1) == targets).float() * 100
