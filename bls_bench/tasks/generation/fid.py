"""FID: how far generated images are from the training images, on Inception's features or on own ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from bls_bench.data.base import Data
from bls_bench.system.processes import process_rank
from bls_bench.system.streams import stream
from bls_bench.tasks.generation.features import Features, Inception, own_features
from bls_bench.tasks.generation.fixed import pixel_batches
from bls_bench.tasks.generation.frechet import Moments, frechet_distance
from bls_bench.tasks.generation.settings import fid_metric
from bls_bench.tasks.objective import Measure

CHUNK = 250  # images generated at a time

# Generates so many images (n, C, H, W) of pixels in [0, 1] from the numbers of a CPU generator.
Sampler = Callable[[nn.Module, int, torch.Generator], Tensor]


class Fid:
    """Compares `samples` generated images with all training images as they are."""

    def __init__(self, data: Data, inception: str | None, samples: int) -> None:
        """Get the features; raises InputError where they are not available."""
        self.metric, self.samples, self._data = fid_metric(inception), samples, data
        self.features = Features(Inception(inception)) if inception else own_features(data)
        self._reference: Moments | None = None

    def reference(self, device: torch.device) -> Moments:
        """Return the moments of the training images, computed at the first call."""
        if self._reference is None:
            batches = pixel_batches(self._data.train, self._data.info, device)
            self._reference = reduce(Moments.plus, (Moments.of(self.features(part)) for part in batches))
        return self._reference

    def measure(self, sampler: Sampler) -> FidMeasure:
        return FidMeasure(self, sampler)


class FidMeasure(Measure):
    """Images are generated in chunks, each from a fixed stream: all runs and processes make the same ones."""

    def __init__(self, fid: Fid, sampler: Sampler) -> None:
        self._fid, self._sampler = fid, sampler
        self._found: Moments | None = None

    def update(self, model: nn.Module, batch: object) -> None:
        """Test images have no part in it."""

    def generate(self, model: nn.Module) -> None:
        device = next(model.parameters()).device
        self._device = device
        rank, processes = process_rank()
        chunks = -(-self._fid.samples // CHUNK)
        for turn in range(-(-chunks // processes)):
            number = turn * processes + rank
            # A process without a chunk left runs the model too, as one in parts needs it.
            count = min(CHUNK, max(self._fid.samples - number * CHUNK, 0)) or CHUNK
            pixels = self._sampler(model, count, stream(0, "generate", number))
            if number < chunks:
                self._add(Moments.of(self._fid.features(pixels)))

    def _add(self, more: Moments) -> None:
        self._found = more if self._found is None else self._found.plus(more)

    def state(self) -> Moments | None:
        return self._found

    def merge(self, states: Sequence[Moments | None]) -> None:
        self._found = reduce(Moments.plus, (state for state in states if state is not None))

    def compute(self) -> dict[str, float]:
        assert self._found is not None, "nothing was generated"
        return {self._fid.metric.name: frechet_distance(self._fid.reference(self._device), self._found)}


class Together(Measure):
    """Several measures as one."""

    def __init__(self, *measures: Measure) -> None:
        self._all = measures

    def update(self, model: nn.Module, batch: object) -> None:
        for measure in self._all:
            measure.update(model, batch)

    def generate(self, model: nn.Module) -> None:
        for measure in self._all:
            measure.generate(model)

    def state(self) -> list[object]:
        return [measure.state() for measure in self._all]

    def merge(self, states: Sequence[list[object]]) -> None:
        for measure, own in zip(self._all, zip(*states, strict=True), strict=True):
            measure.merge(own)

    def compute(self) -> dict[str, float]:
        return {name: value for measure in self._all for name, value in measure.compute().items()}
