"""Sounds: another beginning as the weak view; speed, loudness and gaps on top as the strong one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from bls_bench.data.base import Data
from bls_bench.data.columns import Columns
from bls_bench.tasks.audio.data import begun, draw_starts
from bls_bench.tasks.semisupervised.kinds import Kind, Tensors

if TYPE_CHECKING:
    from torch import Tensor

GAPS = 2
LONGEST = 0.2  # of a gap, as a share of the sound


def kind(data: Data) -> Kind:
    weak = Weak(cast(Columns, data.train).draw is not None)
    return Kind(Tensors(), weak, Strong(weak))


@dataclass(frozen=True)
class Weak:
    """Begin each sound at a random point, where `dataset.shift` is on."""

    shift: bool

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return draw_starts(count, generator) * self.shift

    def __call__(self, inputs: Tensor, draws: Tensor) -> Tensor:
        return begun(inputs, draws)


@dataclass(frozen=True)
class Strong:
    """The weak view, faster or slower by up to a quarter, louder or quieter by up to 2, with silent gaps."""

    weak: Weak

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return (count, 7) in [0, 1): beginning, speed, loudness, and place and length of each gap."""
        start = self.weak.draw(count, generator)
        return torch.cat([start, torch.rand(count, 2 + 2 * GAPS, generator=generator)], 1)

    def __call__(self, inputs: Tensor, draws: Tensor) -> Tensor:
        """inputs: (b, t) waves."""
        start, speed, gain, *gaps = draws.split(1, 1)
        length = inputs.shape[1]
        at = torch.arange(length, device=inputs.device)
        place = at * 1.25 ** (2 * speed - 1)
        before, share = place.long(), place - place.floor()
        waves = begun(inputs, start)
        one, other = waves.gather(1, before % length), waves.gather(1, (before + 1) % length)
        result = (one + (other - one) * share) * 2 ** (2 * gain - 1)
        for begin, width in zip(gaps[::2], gaps[1::2], strict=True):
            first = begin * length
            result = result.masked_fill((at >= first) & (at < first + width * LONGEST * length), 0.0)
        return result
