"""What every scorer is: how the losses of an epoch become scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bls_bench.pruning.saved import rows_or_numbers
from bls_bench.pruning.visits import Visits
from bls_bench.system.settings import Part

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Scorer(Part):
    """Base of all scorers: turns the visits of one epoch into scores.

    per_sample: whether the losses of the single samples are needed, or batch losses are enough.
    signal: what is needed of each sample beside its loss: None, or one of `pruning.signals.SIGNALS`.
    wide: whether the signal is a row of numbers a sample. Such a scorer is of a scoring run, whose epochs no
    checkpoint holds.
    below_mean: the share of the scores that is taken to lie below their mean, to foretell what is pruned.
    """

    per_sample: ClassVar[bool] = False
    signal: ClassVar[str | None] = None
    wide: ClassVar[bool] = False
    below_mean: ClassVar[float] = 0.5

    @property
    def needs(self) -> frozenset[str]:
        """What the task has to give."""
        return frozenset(
            {*(("per_sample",) if self.per_sample else ()), *((self.signal,) if self.signal else ())}
        )

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        """Write the new scores into `scores`, in place.

        scores: (N,) float32, NaN where a sample has no score yet (all of them at first); counts: (N,)
        int32, visits of each sample before this epoch; visits: no sample occurs twice.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""

    def fits(self, state: Any, num_samples: int) -> bool:
        """Whether `state` can be taken back: here if each name has a row of the samples, a number or None."""
        return rows_or_numbers(state, self.state_dict(), num_samples)


class SignalScore(Scorer):
    """The last observed signal of the sample itself; see `bls_bench.pruning.signals` for each.

    Base of the scorers below, which differ in the signal alone. They need a task that classifies.
    """

    per_sample: ClassVar[bool] = True
    below_mean: ClassVar[float] = 0.75

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        assert visits.signals is not None
        scores.scatter_(0, visits.indices, visits.signals)
