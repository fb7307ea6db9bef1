"""Classification into one of several classes."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Cross-entropy and top-1 accuracy; targets are (b,) int64 classes, the model gives (b, classes)."""

    per_sample: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing}")

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(
            model(inputs).float(), targets, reduction="none", label_smoothing=self.label_smoothing
        )

    def evaluate(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        return (model(inputs).argmax(1) == targets).float() * 100
