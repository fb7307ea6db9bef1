"""What every pruner is: a choice of samples from scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from bls_bench.pruning.saved import rows_or_numbers
from bls_bench.pruning.selection import Selection, permutation
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch
from bls_bench.system.settings import Part

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Epoch:
    """What a pruner may look at when it selects the samples of one epoch.

    index: the epoch, counted from 0; total: the epochs of the whole run.
    scores: (N,) float32, NaN for a sample that has no score yet.
    counts: (N,) int32, in how many of the earlier epochs the sample was trained on, with a loss or without.
    generator: the epoch's own random stream.
    used: the samples that the earlier epochs selected, all together.
    cut: how many epochs fewer than asked for the run has (`pruner.match=epochs`).
    """

    index: int
    total: int
    scores: Tensor
    counts: Tensor
    generator: torch.Generator
    used: int = 0
    cut: int = 0

    @property
    def num_samples(self) -> int:
        return len(self.scores)

    def annealing(self, delta: float) -> bool:
        """Whether the last part of the run has begun, epoch index >= delta * total."""
        return self.index >= annealing_start(delta, self.total)

    def everything(self) -> Selection:
        return Selection(permutation(self.num_samples, self.generator).long(), prune_ratio=0.0)

    def sample(self, prune_ratio: float) -> Tensor:
        """Draw int((1 - prune_ratio) * N) indices uniformly without replacement, (K,) int64."""
        keep = int((1 - prune_ratio) * self.num_samples + 1e-9)
        return permutation(self.num_samples, self.generator)[:keep].long()


class Pruner(Part):
    """Base of all pruners: a dataclass of settings, and `select`.

    `observe` and the state methods are for pruners that remember something between epochs; most do not.
    needs: what the task has to give beside what the scorer needs. scores: whether it asks for scores at all.
    chooses_once: whether it has to `choose` before the first epoch, from a scoring run of `scoring_epochs`
    epochs (0: from the classes alone) of the model `proxy` (None: the run's own), which notes what `noted`
    says of each sample in each epoch: a name in `engine.noted.NOTED`.
    cost: what that took, `scoring_seconds` and `scoring_samples`.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    scores: ClassVar[bool] = True
    chooses_once: ClassVar[bool] = False
    noted: ClassVar[str] = "correct"
    cost: Mapping[str, float] = MappingProxyType({})

    @property
    def scoring_epochs(self) -> int:
        return 0

    @property
    def proxy(self) -> str | None:
        return None

    def select(self, epoch: Epoch) -> Selection:
        raise NotImplementedError

    def plan(self, num_epochs: int, below_mean: float = 0.5) -> int:
        """Return how many epochs to train of those asked for.

        below_mean: the share of the scores that is taken to lie below their mean (`Scorer.below_mean`).
        Raises ValueError for settings that cannot be kept in so many.
        """
        return num_epochs

    def expected_percent(self, num_epochs: int, below_mean: float = 0.5) -> float | None:
        """Return the pruned % that a run is expected to end with; None where it cannot be estimated."""
        return None

    @property
    def wanted_share(self) -> float | None:
        """The share of the run that it prunes for any scores; None where none was set."""
        return None

    def check_batches(self, batches: int) -> None:
        """Raise ValueError for settings that do not fit an epoch of so many batches."""

    def choose(self, observed: Any, generator: torch.Generator) -> None:
        """Choose the samples of the whole run; for pruners that choose once."""
        raise NotImplementedError

    def probe(self, model: nn.Module, batch: Any) -> Tensor | None:
        """Measure something of a batch of the scoring run, (b,) float32; most pruners do not."""
        return None

    def observe(self, visits: Visits, scores: Tensor) -> None:
        """See a finished epoch: who was visited, and all scores (N,) float32 after it."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""

    def fits(self, state: Any, num_samples: int) -> bool:
        """Whether `state` can be taken back: here if each name has a row of the samples, a number or None."""
        return rows_or_numbers(state, self.state_dict(), num_samples)


def annealing_start(delta: float, num_epochs: int) -> int:
    """Return the first epoch e with e >= delta * num_epochs.

    The small slack undoes the rounding of the product: 0.7 * 10 is 7.000000000000001.
    """
    return math.ceil(delta * num_epochs - 1e-9)


def check_rate(name: str, value: float) -> None:
    """Raise ValueError unless 0 <= value < 1: a rate of 1 would leave nothing to train on."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")


def check_fraction(name: str, value: float) -> None:
    """Raise ValueError unless 0 <= value <= 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value}")
