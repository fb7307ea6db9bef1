"""Scorers that rank samples by something else of the output than its loss."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bls_bench.pruning.scorers import Scorer
from bls_bench.pruning.visits import Visits


class SignalScore(Scorer):
    """The last observed signal of the sample itself; see `bls_bench.pruning.signals` for each.

    Base of the scorers below, which differ in the signal alone. They need a task that classifies.
    """

    per_sample: ClassVar[bool] = True
    below_mean: ClassVar[float] = 0.75

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        scores.scatter_(0, visits.indices, visits.signals)


@dataclass(kw_only=True)
class GradientNorm(SignalScore):
    """||p - y|| * ||h||, the norm of the loss' gradient in the weights of the last layer."""

    signal: ClassVar[str | None] = "gradient_norm"


@dataclass(kw_only=True)
class ErrorNorm(SignalScore):
    """||p - y||, EL2N of the one model that trains (Paul et al. 2021).

    It is also the norm of the gradient in the last layer's output, which bounds that in all weights up to a
    constant (Katharopoulos & Fleuret 2018).
    """

    signal: ClassVar[str | None] = "error_norm"


@dataclass(kw_only=True)
class Entropy(SignalScore):
    """Entropy of the prediction."""

    signal: ClassVar[str | None] = "entropy"


@dataclass(kw_only=True)
class Margin(SignalScore):
    """1 - (p_1 - p_2), of the two highest probabilities."""

    signal: ClassVar[str | None] = "margin"


@dataclass(kw_only=True)
class Correctness(SignalScore):
    """1 if the sample was classified rightly, else 0: what forgetting events are counted from."""

    signal: ClassVar[str | None] = "correct"
