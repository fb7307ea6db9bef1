"""What differs between images, sounds and texts: how a batch is read, and how it is seen at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


class View(Protocol):
    """A random augmentation of whole batches."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the random numbers of `count` samples, (count, k)."""
        ...

    def __call__(self, inputs: Any, draws: Tensor) -> Any:
        """Return b inputs, seen as the rows of `draws` (b, k) say; what is given stays as it is."""
        ...


class Reader(Protocol):
    """What a batch of the data set is to a model."""

    def read(self, batch: Any) -> tuple[Any, Tensor]:
        """Return the inputs of the model and the (b,) classes."""
        ...

    def joined(self, inputs: Sequence[Any]) -> Any:
        """Return several lots of inputs as one, for a single pass of the model."""
        ...

    def check(self, model: nn.Module) -> None:
        """Raise InputError for a model that does not take such inputs."""
        ...


class Kind(NamedTuple):
    """reader: of the batches. weak, strong: the two views."""

    reader: Reader
    weak: View
    strong: View


class Tensors:
    """Batches (inputs, classes) whose inputs are one tensor."""

    def read(self, batch: Any) -> tuple[Tensor, Tensor]:
        inputs, targets = batch
        return inputs, targets

    def joined(self, inputs: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(inputs))

    def check(self, model: nn.Module) -> None:
        """Any that fits the data does."""
