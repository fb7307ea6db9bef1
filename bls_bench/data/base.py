"""What every data set offers: a training and a test split that yield whole batches on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bls_bench.system.lazy import torch
from bls_bench.system.settings import Part

if TYPE_CHECKING:
    from torch import Tensor


# Of images, in pixels.
LARGEST_SIDE = 2**14


def memory_format(image_size: int) -> torch.memory_format:
    """Return how inputs and weights lie in memory: channels last, which smaller images only make slower."""
    return torch.channels_last if image_size >= 32 else torch.contiguous_format


def check_side(pixels: int, least: int = 1) -> None:
    """Check the side of images. Raises ValueError where one alone would take gigabytes."""
    if not least <= pixels <= LARGEST_SIDE:
        floats = f"{3 * 4 * LARGEST_SIDE**2 / 2**30:.0f} GiB an image"
        raise ValueError(f"image_size must be in {least} ... {LARGEST_SIDE} ({floats}), got {pixels}")


class Split(Protocol):
    """One part of a data set. Which samples make a batch, and in which order, is the caller's choice."""

    def __len__(self) -> int: ...

    def plain(self) -> Split:
        """The same samples without the augmentation of whole batches; random crops of files stay."""
        ...

    def batches(self, index_batches: Sequence[Tensor], epoch: int, device: torch.device) -> Iterator[Any]:
        """Yield one batch for each (b,) int64 tensor of sample indices, in the order given.

        What a batch is, the data set and the task know; its tensors are on `device`. Random augmentation of
        sample i depends on the run's seed, `epoch` and i alone, so neither the batch size nor the order nor
        a resume changes it.
        Raises InputError for a sample that cannot be read.
        """
        ...


class Beside(Protocol):
    """A stream of batches beside those that are pruned, one for each step.

    size: the samples of a batch, over all processes together.
    """

    @property
    def size(self) -> int: ...

    def batches(
        self, wanted: Sequence[tuple[int, Tensor]], epoch: int, device: torch.device
    ) -> Iterator[Any]:
        """Yield for each (step, rows) the samples at these (b,) int64 rows of that step's batch.

        Which samples the batch of a step holds, and how they are augmented, depends on the run's seed, epoch
        and step alone: neither what is pruned, nor a resume, nor the number of processes changes it.
        Raises InputError for a sample that cannot be read.
        """
        ...


@dataclass(frozen=True)
class Images:
    """The `info` of square images: channels, side in pixels, names of the classes (none without).

    mean, std: of each channel, by which pixels in [0, 1] are normalised.
    """

    channels: int
    image_size: int
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def pixels(self, inputs: Tensor) -> Tensor:
        """Return the pixels in [0, 1] of normalised (b, C, H, W) images."""
        mean, std = (inputs.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (inputs * std + mean).clamp(0, 1)


@dataclass(frozen=True)
class Data:
    """A loaded data set.

    train: the samples that are pruned. test: where metrics are measured. info: what model and task have to
    know of the data. targets: (N,) int64 on the CPU, the class of each training sample; None without classes.
    lengths: (N,) int64 on the CPU, the tokens of each training sample; None where all are alike.
    beside: further streams of samples, which are not pruned, by name; each step gets a batch of each.
    """

    train: Split
    test: Split
    info: Any
    targets: Tensor | None = None
    lengths: Tensor | None = None
    beside: Mapping[str, Beside] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Dataset(Part):
    """The fields that every data set has."""

    name: str

    @property
    def gives(self) -> frozenset[str]:
        """What models and tasks can have of it as it is set (`bls_bench.config.fit`)."""
        return frozenset()

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        """Read the data, to be trained on on `device`, the CPU by default.

        `seed` is the run's and decides the random augmentation, nothing else.

        Raises InputError when files are missing or cannot be read.
        """
        raise NotImplementedError
