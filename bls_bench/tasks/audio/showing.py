"""Sounds for the page of a run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from scipy.signal import resample_poly
from torch import Tensor

from bls_bench.data.base import Data
from bls_bench.gallery.shown import Shown
from bls_bench.tasks.audio.data import quantised
from bls_bench.tasks.showing import batches, classes

# Values a second, at most: pages hold many sounds.
RATE = 8000


def sounds(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield the wave of each sample (n,), at RATE values a second or fewer, and its class."""
    rate = min(data.info.rate, RATE)
    waves = (wave for batch in batches(data, indices) for wave in batch[0])
    for wave, known in zip(waves, classes(data, indices), strict=True):
        if rate < data.info.rate:
            wave = torch.from_numpy(resample_poly(wave.numpy(), rate, data.info.rate))
        yield Shown(known.label, wave=quantised(wave).numpy(), rate=rate)
