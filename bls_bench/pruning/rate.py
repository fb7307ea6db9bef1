"""Rate control: what to prune in each epoch so that the whole run prunes a wanted share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.pruner import Epoch, Pruner, check_fraction, check_rate
from bls_bench.pruning.selection import Selection, permutation
from bls_bench.system.lazy import torch
from bls_bench.system.settings import versioned

if TYPE_CHECKING:
    from torch import Tensor


# The least that a ratio is taken for when ratios are scaled: 0 could not be scaled up.
TINY = 1e-9
# The last part of the pruning epochs, in which `match=epochs` may raise the rate.
LATE = 0.25


@dataclass(kw_only=True)
class RatedPruner(Pruner):
    """Base of the pruners that have a rate, and can be sent to a wanted one.

    prune_ratio: the pruner's own rate, in [0, 1); with a target it is adjusted, see `match`.
    target: the share of all forward passes, N * epochs, to prune over the whole run, in [0, 1), annealing
    included; None leaves the rate alone.
    match: how the target is met. `rate`: by the rate, over all epochs. `epochs`: by the number of epochs, at
    the pruner's own settings (the adjusted epochs of InfoBatch, ICLR 2024, Table 1): as many are trained as
    should make the forward passes those of the target, and pruning ends once it is met. The last epoch that
    prunes leaves out what is missing; only where the pruner's own rate turns out too small do the epochs of
    the last quarter of those that may prune leave out more, each the same share (see `_correction`).

    The loop is closed and keeps no state: what the earlier epochs have used (`Epoch.used`) tells how much
    the epochs that are left and may prune have to leave out. Chance and moving scores in one epoch are so
    made up for by the following ones, and a resumed run goes on exactly.

    A subclass gives `draw`, and says by `prunable` which epochs may prune, if not all, by `natural_share`
    what it prunes without a target, if not prune_ratio, and by `for_good` whether samples never come back.
    """

    # The largest share that an epoch may leave out: one that trains on next to nothing helps nobody.
    most: ClassVar[float] = 0.95

    prune_ratio: float = 0.5
    target: float | None = None
    match: str = versioned("rate", {"epochs": 2})

    def __post_init__(self) -> None:
        check_rate("prune_ratio", self.prune_ratio)
        if self.match not in ("rate", "epochs"):
            raise ValueError(f"match must be rate or epochs, got {self.match!r}")
        if self.target is not None:
            check_rate("target", self.target)
        elif self.match == "epochs":
            raise ValueError("match=epochs needs a target")

    @property
    def wanted_share(self) -> float | None:
        return self.target

    def prunable(self, num_epochs: int) -> range:
        """Return the epochs of a run that may leave samples out."""
        return range(num_epochs)

    @property
    def for_good(self) -> bool:
        """Whether what an epoch leaves out stays out."""
        return False

    def natural_share(self, num_epochs: int, below_mean: float = 0.5) -> float:
        """Return the share of a run that is pruned without a target, as far as it can be foretold.

        below_mean: the share of the scores that is taken to lie below their mean (`Scorer.below_mean`).
        """
        return self.prune_ratio * len(self.prunable(num_epochs)) / num_epochs

    def draw(self, epoch: Epoch, share: float | None) -> Selection:
        """Select by the pruner's own rate; with `share`, leave out that share of the N samples."""
        raise NotImplementedError

    def select(self, epoch: Epoch) -> Selection:
        if self.target is None:
            return self.draw(epoch, None)
        if self.match == "rate":
            return self.draw(epoch, self.share(epoch))
        own = self.draw(epoch, None)
        share = self._correction(epoch, 1 - len(own) / epoch.num_samples)
        return own if share is None else self.draw(epoch, share)

    def share(self, epoch: Epoch) -> float:
        """Return the share of the N samples that this epoch leaves out if all that may prune do so alike."""
        if epoch.index not in self.prunable(epoch.total):
            return 0.0
        left, budget = self._budget(epoch)
        # In units of N: what is left of the budget, less the epochs to come that are whole. Written so that
        # it rounds as when the recorded runs were made.
        budget -= epoch.total - epoch.index - left
        return min(max(1 - budget / left, 0.0), self.most)

    def _budget(self, epoch: Epoch) -> tuple[int, float]:
        """Return how many epochs are left that may prune, and the forward passes left, in units of N."""
        assert self.target is not None
        left = self.prunable(epoch.total).stop - epoch.index
        return left, (1 - self.target) * (epoch.total + epoch.cut) - epoch.used / epoch.num_samples

    def _missing(self, epoch: Epoch) -> tuple[float, int]:
        """Return what is still to be left out, in units of N, and how many epochs are left that may."""
        left, budget = self._budget(epoch)
        return epoch.total - epoch.index - budget, left

    def _correction(self, epoch: Epoch, own: float) -> float | None:
        """Return what this epoch leaves out in place of `own`, the pruner's own share; None: that is fine.

        It is unless the epochs that follow could not meet the target after it, or would have to leave out
        more than this one and are the last LATE of those that may prune.
        """
        prunable = self.prunable(epoch.total)
        if epoch.index not in prunable:
            return None
        missing, left = self._missing(epoch)
        rest, follow = missing - own, left - 1
        short = own * left < missing and left <= math.ceil(LATE * len(prunable))
        if (own * follow if self.for_good else 0.0) <= rest <= self.most * follow and not short:
            return None
        # Where too much would go, this is the last epoch that prunes, unless what is gone stays away.
        ends = rest < 0 and not self.for_good
        return min(max(missing if ends else missing / left, 0.0), self.most)

    def plan(self, num_epochs: int, below_mean: float = 0.5) -> int:
        """Return how many epochs to train; raises ValueError for a target out of reach."""
        if self.target is None:
            return num_epochs
        budget = (1 - self.target) * num_epochs
        choices = range(1, num_epochs + 1) if self.match == "epochs" else [num_epochs]
        within = [e for e in choices if (1 - self._reach(e)) * e - 1e-9 <= budget <= e + 1e-9]
        if not within:
            raise ValueError(self._out_of_reach(num_epochs))
        return min(within, key=lambda e: abs((1 - self.natural_share(e, below_mean)) * e - budget))

    def expected_percent(self, num_epochs: int, below_mean: float = 0.5) -> float:
        return 100 * (self.natural_share(num_epochs, below_mean) if self.target is None else self.target)

    def _reach(self, num_epochs: int) -> float:
        """Return the largest share that a run of so many epochs can prune."""
        return self.most * len(self.prunable(num_epochs)) / num_epochs

    def _out_of_reach(self, num_epochs: int) -> str:
        assert self.target is not None
        text = f"target={self.target:g} cannot be reached"
        if self.match == "epochs":
            reached = [1 - max((1 - self._reach(e)) * e / num_epochs, 0.0) for e in range(1, num_epochs + 1)]
            below = _floored(max([share for share in reached if share < self.target], default=0.0))
            return (
                f"{text} in any number of epochs up to {num_epochs}: below it, at most {below} can be pruned"
            )
        text += f" in {num_epochs} epochs: at most {_floored(self._reach(num_epochs))} can be pruned"
        return text + self._advice(num_epochs)

    def _advice(self, num_epochs: int) -> str:
        """Say which setting would bring a target within reach; nothing where none does."""
        return ""


def _floored(share: float) -> str:
    """Write a share with three digits, never more than it is."""
    return f"{math.floor(1000 * share + 1e-9) / 1000:g}"


def spread(wanted: float, sizes: list[int], ratios: list[float], most: float) -> list[float]:
    """Scale `ratios` by one factor so that dropping them of `sizes` samples drops `wanted` on average.

    A ratio stops at `most`, and the others then make up for it as far as they can.
    """
    spread, left = [0.0] * len(sizes), wanted
    tiers = sorted(range(len(sizes)), key=lambda tier: -ratios[tier])  # the first to come to `most` first
    weights = [size * max(ratio, TINY) for size, ratio in zip(sizes, ratios, strict=True)]
    for place, tier in enumerate(tiers):
        if sizes[tier]:
            part = weights[tier] / sum(weights[other] for other in tiers[place:])
            spread[tier] = min(left * part / sizes[tier], most)
            left -= spread[tier] * sizes[tier]
    return spread


def dropped(candidates: Tensor, ratio: float, generator: torch.Generator, exact_count: bool) -> Tensor:
    """Say which of the candidates, (N,) bool, are dropped, each with probability `ratio`; (N,) bool."""
    if not exact_count:
        # Drawing for all costs less than finding the candidates.
        return (torch.rand(len(candidates), generator=generator) < ratio).logical_and_(candidates)
    chosen = candidates.nonzero().squeeze(1)
    order = permutation(len(chosen), generator)[: int(ratio * len(chosen) + 1e-9)]
    return torch.zeros_like(candidates).index_fill_(0, chosen.index_select(0, order), True)


def lowest(values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Mark the `count` lowest of `values` (N,), ties drawn at random; NaN is never marked. (N,) bool."""
    known = values[~values.isnan()]
    if count >= len(known):
        return ~values.isnan()
    bound = known.kthvalue(count + 1).values
    marked = values < bound
    ties = (values == bound).nonzero().squeeze(1)
    drawn = permutation(len(ties), generator)[: count - int(marked.count_nonzero())]
    return marked.index_fill_(0, ties.index_select(0, drawn), True)


@dataclass(kw_only=True)
class AnnealedPruner(RatedPruner):
    """Base of the rated pruners whose pruning ends, or changes, at epoch delta * E. delta: in [0, 1]."""

    delta: float = 0.875

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("delta", self.delta)

    def _advice(self, num_epochs: int) -> str:
        if replace(self, delta=1.0)._reach(num_epochs) == self._reach(num_epochs):
            return ""
        text = f" with delta={self.delta:g}"
        for last in range(1, num_epochs + 1):
            delta = math.ceil(1000 * last / num_epochs) / 1000
            if replace(self, delta=delta)._reach(num_epochs) + 1e-9 >= (self.target or 0.0):
                return f"{text}, take delta={delta:g}"
        return f"{text}, and {_floored(replace(self, delta=1.0)._reach(num_epochs))} with delta=1"
