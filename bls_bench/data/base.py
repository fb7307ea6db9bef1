"""What every data set offers: a training and a test split that yield whole batches on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


CPU = torch.device("cpu")


def memory_format(image_size: int) -> torch.memory_format:
    """Return how inputs and weights lie in memory: channels last, which smaller images only make slower."""
    return torch.channels_last if image_size >= 32 else torch.contiguous_format


class Split(Protocol):
    """One part of a data set. Which samples make a batch, and in which order, is the caller's choice."""

    @property
    def targets(self) -> Tensor:
        """(N,) int64 on the CPU."""
        ...

    def __len__(self) -> int: ...

    def plain(self) -> Split:
        """The same samples without the augmentation of whole batches; random crops of files stay."""
        ...

    def batches(
        self, index_batches: Sequence[Tensor], epoch: int, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one batch for each (b,) int64 tensor of sample indices, in the order given.

        A batch is (inputs, targets), both on `device`: inputs (b, C, H, W) float32, normalised, in
        the `memory_format` of their size, and targets (b,) int64. Random augmentation of sample i depends
        on the run's seed, `epoch` and i alone, so neither the batch size nor the order nor a resume
        changes it.
        Raises InputError for a sample that cannot be read.
        """
        ...


@dataclass(frozen=True)
class Data:
    """A loaded data set; `classes` holds the `num_classes` class names in the order of the targets."""

    train: Split
    test: Split
    num_classes: int
    channels: int
    image_size: int
    classes: list[str]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The fields that every data set has.

    `subset` keeps the first so many training images of every class; the test split stays whole.
    """

    name: str
    subset: int | None = None

    def __post_init__(self) -> None:
        if self.subset is not None and self.subset < 1:
            raise ValueError(f"subset must be null or at least 1, got {self.subset}")

    def load(self, seed: int, device: torch.device = CPU) -> Data:
        """Read the data, to be trained on on `device`.

        `seed` is the run's and decides the random augmentation, nothing else.

        Raises InputError when files are missing or cannot be read, and when `subset` asks for more
        images than a class has.
        """
        raise NotImplementedError


def first_of_each_class(targets: Tensor, count: int | None) -> Tensor:
    """Return the (K,) int64 indices of the first `count` samples of every class, ascending.

    `targets` is (N,) int64; `count` None keeps all N. Raises InputError if some class has fewer.
    """
    if count is None:
        return torch.arange(len(targets))
    smallest = int(targets.bincount().min())
    if count > smallest:
        raise InputError(
            f"dataset.subset must be at most {smallest}, the size of the smallest class, got {count}"
        )
    by_class = [(targets == label).nonzero().flatten()[:count] for label in targets.unique()]
    return torch.cat(by_class).sort().values
