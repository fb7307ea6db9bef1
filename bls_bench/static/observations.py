"""What a scoring run saw of every training sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Observations:
    """All on the CPU, and the same on every process.

    targets: (N,) int64 classes; num_classes: C.
    logits: (N, C) float32 and features: (N, d) float32, what the last layer got, at the end of the run.
    history: (S, N) float32, what each of the S epochs said of the sample as it trained on it: what the pruner
    had noted (`Pruner.noted`), 0 before the sample was trained on.
    probed: (N,) float32, what the pruner itself measured with the model (`StaticPruner.probe`), or None.
    All but the targets are empty for a pruner that needs no scoring run.
    """

    targets: Tensor
    num_classes: int
    logits: Tensor
    features: Tensor
    history: Tensor
    probed: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @classmethod
    def unseen(cls, targets: Tensor, num_classes: int) -> Observations:
        """The observations of no scoring run at all."""
        nothing = torch.zeros(len(targets), 0)
        return cls(targets, num_classes, nothing, nothing, nothing.T)

    def bytes_of(self, count: int) -> int:
        """Return the memory that the features and outputs of so many samples take."""
        return 4 * count * (self.logits.shape[1] + self.features.shape[1])

    def at(self, indices: Tensor) -> Observations:
        """Return those of the (n,) samples `indices`."""
        return replace(
            self,
            targets=self.targets[indices],
            logits=self.logits[indices],
            features=self.features[indices],
            history=self.history[:, indices],
            probed=None if self.probed is None else self.probed[indices],
        )

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Return factors (N, C) and (N, d + 1): sample i's gradient in the last layer is their outer product.

        The first is p - y, the second (h, 1): the 1 is for the bias. Inner products of gradients are
        products of the factors' inner products, so the N gradients of C * (d + 1) numbers are never made.
        """
        rows, left = torch.arange(len(self)), self.logits.softmax(1)
        left[rows, self.targets] -= 1
        return left, torch.cat([self.features, torch.ones(len(self), 1)], 1)
