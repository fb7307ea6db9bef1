"""What a scoring run notes of a sample in each epoch, as it trains on it; a static pruner says which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bls_bench.pruning.scorer import Scorer, SignalScore
from bls_bench.pruning.visits import Visits

# Keeps the logarithm of a probability that is zero finite; as in the authors' code of TDDS.
EPSILON = 1e-8
# Samples that are compared at a time.
BLOCK = 4096


@dataclass(kw_only=True)
class Correct(SignalScore):
    """1 if the sample was classified rightly, else 0: what forgetting events are counted from."""

    signal: ClassVar[str | None] = "correct"


@dataclass(kw_only=True)
class Lead(SignalScore):
    """How far its own class was ahead of the next: what the area under the margin is summed from."""

    signal: ClassVar[str | None] = "lead"


@dataclass(kw_only=True)
class Change(Scorer):
    """How far the predicted distribution moved since the epoch before; NaN in the first."""

    per_sample: ClassVar[bool] = True
    signal: ClassVar[str | None] = "probabilities"
    wide: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._before: Tensor | None = None  # (N, C) float32, NaN for a sample not seen yet

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        assert visits.signals is not None
        if self._before is None:
            self._before = torch.full((len(scores), visits.signals.shape[1]), torch.nan)
        # Some samples at a time: the rows of all are copies enough.
        for at, now in zip(visits.indices.split(BLOCK), visits.signals.split(BLOCK), strict=True):
            scores[at] = change(self._before[at], now)
            self._before[at] = now


def change(before: Tensor, now: Tensor) -> Tensor:
    """Return sum_c p_c |log p_c - log q_c| of each row, (n,): p the probabilities `now`, q those `before`.

    Both are (n, C). It is the divergence of q from p with every term taken as positive.
    """
    return (((now + EPSILON).log() - (before + EPSILON).log()).abs_() * now).sum(1)


# By the names that a static pruner has for them (`Pruner.noted`).
NOTED: dict[str, type[Scorer]] = {"correct": Correct, "lead": Lead, "change": Change}
