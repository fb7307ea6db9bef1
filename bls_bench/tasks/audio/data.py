"""What data sets of sounds share: waves in memory, 16 bits a value, shifted in time on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Data
from bls_bench.data.classes import Labelled
from bls_bench.data.columns import Column, Columns
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

# The value of a full swing.
FULL = 32767


@dataclass(frozen=True)
class Sounds:
    """The `info` of sounds, all of one length: values a second, values, names of the classes."""

    rate: int
    length: int
    classes: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, kw_only=True)
class SoundDataset(Labelled):
    """Sounds with a class each.

    shift: start each training sound at a random point of it, and put what was before at its end.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"sound", "classes"})
    shift: bool = True

    def made(
        self, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], info: Sounds, seed: int
    ) -> Data:
        """Return the data of two pairs of waves, (N, length) int16, and classes, (N,) int64."""
        kept, labels = self.arranged(train[1])
        columns = {"waves": train[0][kept], "labels": labels}
        return Data(
            train=Columns(columns, batch_of, seed, draw_starts if self.shift else None),
            test=Columns({"waves": test[0], "labels": test[1]}, batch_of),
            info=info,
            targets=labels,
        )


def quantised(waves: Tensor) -> Tensor:
    """Turn float waves in [-1, 1] into int16 ones."""
    return (waves.clamp(-1, 1) * FULL).round().to(torch.int16)


def draw_starts(count: int, generator: torch.Generator) -> Tensor:
    """Return where each sound is to start, (count, 1) in [0, 1)."""
    return torch.rand(count, 1, generator=generator)


def batch_of(columns: dict[str, Column], starts: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return (b, t) float32 waves, each begun at its start, and (b,) classes."""
    waves = columns["waves"]
    if starts is not None:
        waves = begun(waves, starts)
    return waves.float() / FULL, columns["labels"]


def begun(waves: Tensor, starts: Tensor) -> Tensor:
    """Begin each of (b, t) waves at its start, (b, 1) in [0, 1); what was before comes at its end."""
    length = waves.shape[1]
    at = (starts.squeeze(1) * length).long() % length
    # Every beginning is a row of a view: a number for each value, to gather it by, would take eight bytes.
    twice = torch.cat([waves, waves[:, :-1]], 1).unfold(1, length, 1)
    return twice[torch.arange(len(waves), device=waves.device), at]
