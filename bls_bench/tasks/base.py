"""What a task is: how a batch becomes a loss and a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


class Task(Protocol):
    """A batch loss always, per-sample losses where they exist, and one metric, the higher the better.

    per_sample: whether `loss` gives the loss of each sample.
    A task that classifies also has `signals`, the names of what `signal(name, logits, targets, features)`
    tells of each sample, (b,), for the scorers and static pruners that ask for more than a loss, and
    `unmixed()`, the same task on samples as they are. See `tasks/classification.py`.
    metric: the metric's name, as it stands in records ("accuracy").

    A task may also have `mixing(classes, seed)`, which gives a `Mixing` for its training batches, or None.
    """

    per_sample: ClassVar[bool]
    metric: ClassVar[str]

    def loss(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the training loss, (b,) where `per_sample`, else 0-d; not weighted, on the device."""
        ...

    def evaluate(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the metric of each sample in percent, (b,), so that its mean is the metric of the set."""
        ...
