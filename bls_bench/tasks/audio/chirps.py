"""Tones that rise, fall, beat or warble, with noise: sounds made up, the same on every machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.data.base import Data
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream
from bls_bench.tasks.audio.data import SoundDataset, Sounds, quantised

if TYPE_CHECKING:
    from torch import Tensor

RATE, SECONDS = 8000, 1
CLASSES = ("steady", "rising", "falling", "arching", "warbling", "beating", "octaves", "noise")
TEST_OF = 5


@dataclass(frozen=True, kw_only=True)
class Chirps(SoundDataset):
    """`size` sounds of each of eight kinds, a fifth of them the test split; not a benchmark.

    noise: its level beside the tone's; at 0 the kinds are told apart with ease.
    """

    name: str = "chirps"
    size: int = 150
    noise: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < TEST_OF:
            raise ValueError(f"size must be at least {TEST_OF}, got {self.size}")
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise must be a number of at least 0, got {self.noise}")

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        kinds = torch.arange(len(CLASSES)).repeat_interleave(self.size)
        # Of the data, not of the run: another seed trains on the same sounds.
        waves = quantised(sounds(kinds, self.noise, stream(0, "chirps")))
        test = torch.arange(len(kinds)) % TEST_OF == 0
        info = Sounds(RATE, RATE * SECONDS, CLASSES)
        return self.made((waves[~test], kinds[~test]), (waves[test], kinds[test]), info, seed)


def sounds(kinds: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Return a wave in [-1, 1] for each of (N,) kinds, (N, length)."""
    count, length = len(kinds), RATE * SECONDS
    pitch, speed, phase, level = torch.rand(4, count, 1, generator=generator)
    # Float64, for the phase adds up over the whole sound.
    time = torch.arange(length, dtype=torch.float64) / length
    way = {
        "rising": time - 0.5,
        "falling": 0.5 - time,
        "arching": 0.5 - (2 * time - 1).abs(),
        "warbling": 0.25 * torch.sin(2 * math.pi * (4 + 4 * speed) * time),
    }
    flat = torch.zeros(count, length, dtype=torch.float64)
    # In octaves around a pitch of 300 to 1,200 Hz.
    octaves = torch.stack([flat + way.get(name, 0.0) for name in CLASSES])[kinds, torch.arange(count)]
    frequency = 300 * 2 ** (2 * pitch + octaves)
    turns = 2 * math.pi * (frequency.cumsum(1) / RATE + phase)
    kind = kinds[:, None]
    tone = torch.sin(turns)
    tone = torch.where(kind == CLASSES.index("octaves"), (tone + torch.sin(2 * turns)) / 2, tone)
    beats = 0.5 + 0.5 * torch.sin(2 * math.pi * (6 + 10 * speed) * time)
    tone = torch.where(kind == CLASSES.index("beating"), tone * beats, tone)
    tone = torch.where(kind == CLASSES.index("noise"), 0.0, tone)
    hiss = torch.randn(count, length, generator=generator)
    waves = (0.2 + 0.8 * level) * (tone + noise * hiss)
    return (waves / 4).float()
