"""A linear probe: how well classes are told from the features of a model, which stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.data.base import Data
from bls_bench.system.processes import process_rank
from bls_bench.tasks.objective import Measure

RIDGE = 1e-3
CHUNK = 512


class Sums(NamedTuple):
    """Of features x (n, d) and classes y (n, C), one-hot, all in float64: what least squares need of them."""

    samples: int
    x: Tensor
    y: Tensor
    xx: Tensor
    xy: Tensor

    @classmethod
    def of(cls, features: Tensor, classes: Tensor, num_classes: int) -> Sums:
        x, y = features.double(), F.one_hot(classes, num_classes).double()
        return cls(len(x), x.sum(0), y.sum(0), x.T @ x, x.T @ y)

    def plus(self, other: Sums) -> Sums:
        samples, *sums = self
        more, *others = other
        return Sums(samples + more, *(one + another for one, another in zip(sums, others, strict=True)))

    def scores(self, features: Tensor) -> Tensor:
        """Return what ridge regression on standardised features gives each class, (m, C)."""
        mean, level = self.x / self.samples, self.y / self.samples
        covariance = self.xx / self.samples - mean.outer(mean)
        scale = covariance.diagonal().clamp_min(1e-12).sqrt()
        wanted = (self.xy / self.samples - mean.outer(level)) / scale[:, None]
        correlation = covariance / scale.outer(scale) + RIDGE * torch.eye(len(scale), dtype=scale.dtype)
        weights = torch.linalg.solve(correlation, wanted)
        return (features.double() - mean) / scale @ weights + level


class Probe(Measure):
    """The share of test samples whose class a linear classifier finds, `probe_accuracy` in percent.

    It is fitted to the features of all training samples, without augmentation, by ridge regression of the
    classes: in closed form, so that it has no rate, no seed and no epochs of its own.
    """

    def __init__(self, data: Data, features: Callable[[nn.Module, Any], tuple[Tensor, Tensor]]) -> None:
        """features: returns the features (b, d) and the classes (b,) of a batch."""
        self._data, self._features, self._classes = data, features, data.info.num_classes
        self._fitted: Sums | None = None
        self._test: list[tuple[Tensor, Tensor]] = []

    def update(self, model: nn.Module, batch: Any) -> None:
        features, classes = self._features(model, batch)
        self._test.append((features.float().cpu(), classes.cpu()))

    def generate(self, model: nn.Module) -> None:
        split, (rank, processes) = self._data.train.plain(), process_rank()
        parts = list(torch.arange(rank, len(split), processes).split(CHUNK))
        own = len(parts)
        # A process with a batch less runs the model too, as one in parts needs it.
        parts += [torch.zeros(1, dtype=torch.int64)] * (-(-len(split) // (CHUNK * processes)) - own)
        device = next(model.parameters()).device
        for number, batch in enumerate(split.batches(parts, 0, device)):
            features, classes = self._features(model, batch)
            if number < own:
                sums = Sums.of(features.cpu(), classes.cpu(), self._classes)
                self._fitted = sums if self._fitted is None else self._fitted.plus(sums)

    def state(self) -> tuple[Sums | None, list[tuple[Tensor, Tensor]]]:
        return self._fitted, self._test

    def merge(self, states: Sequence[tuple[Sums | None, list[tuple[Tensor, Tensor]]]]) -> None:
        self._fitted, self._test = None, []
        for sums, test in states:
            if sums is not None:
                self._fitted = sums if self._fitted is None else self._fitted.plus(sums)
            self._test += test

    def compute(self) -> dict[str, float]:
        assert self._fitted is not None, "nothing was fitted"
        features, classes = (torch.cat(parts) for parts in zip(*self._test, strict=True))
        right = self._fitted.scores(features).argmax(1) == classes
        return {"probe_accuracy": float(right.double().mean() * 100)}
