"""Verdicts of seeds that were added until they decide: each look at them spends a part of the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bls_bench.experiments.manifest import ALPHA, Rule
from bls_bench.report import statistics
from bls_bench.report.statistics import OPEN, Comparison


@dataclass(frozen=True)
class Pair:
    """Two sets of values of a metric by seed, what they are compared by, see `statistics.compare`."""

    method: Mapping[int, float]
    other: Mapping[int, float]
    margin: float | None
    better: str

    def at(self, seeds: int) -> Comparison | None:
        """Compare the seeds 0 to seeds - 1; None where one of them is missing."""
        if not all(seed in self.method and seed in self.other for seed in range(seeds)):
            return None
        return statistics.compare(
            _first(self.method, seeds), _first(self.other, seeds), self.margin, self.better
        )

    def before(self, rule: Rule) -> Comparison | None:
        """Compare what seeds there are before the first look: nothing is tested."""
        found = statistics.compare(self.method, self.other, self.margin, self.better)
        return found and replace(found, p_equivalent=None, p_zero=None, looks=len(rule.looks))


def judged(family: Sequence[Pair | None], rule: Rule) -> list[Comparison | None]:
    """Return each comparison as of the look that decided it, or else as of its last one.

    A look takes every comparison that is open and has all of its seeds. Its p-values are divided by the share
    of ALPHA that the look spends, so that `Comparison.outcome` asks for no less than that; those for zero are
    corrected by Holm's method among all of the family but those shown to differ at earlier looks. So the
    chance of calling anything better or worse whose true difference is zero is at most ALPHA for the family,
    and that of calling lossless what lies at the margin or beyond at most ALPHA for each.
    """
    pairs = {place: pair for place, pair in enumerate(family) if pair is not None}
    found = {place: pair.before(rule) for place, pair in pairs.items()}
    going = list(pairs)
    size = len(going)
    for look in range(len(rule.looks)):
        at = {place: one for place in going if (one := _looked(pairs[place], rule, look)) is not None}
        tested = sorted((one.p_zero, place) for place, one in at.items() if one.p_zero is not None)
        least, left = 0.0, size
        for p, place in tested:
            least, left = max(least, min(1.0, p * left)), left - 1
            at[place] = replace(at[place], p_zero=least)
            size -= least < ALPHA
        found |= at
        going = [place for place, one in at.items() if one.outcome == OPEN]
    return [found.get(place) for place in range(len(family))]


def latest(pair: Pair, rule: Rule) -> Comparison | None:
    """Return a comparison as of the last look for which it has all seeds, at what that look spends.

    Its seeds were added for the sake of other comparisons; whichever look that led to, this holds.
    """
    looks = (_looked(pair, rule, look) for look in reversed(range(len(rule.looks))))
    return next((one for one in looks if one is not None), pair.before(rule))


def _looked(pair: Pair, rule: Rule, look: int) -> Comparison | None:
    one = pair.at(rule.looks[look])
    if one is None:
        return None
    factor = ALPHA / rule.alpha[look]
    return replace(
        one,
        p_equivalent=_times(one.p_equivalent, factor),
        p_zero=_times(one.p_zero, factor),
        look=look + 1,
        looks=len(rule.looks),
    )


def _times(p: float | None, factor: float) -> float | None:
    return None if p is None else min(1.0, p * factor)


def _first(values: Mapping[int, float], seeds: int) -> dict[int, float]:
    return {seed: values[seed] for seed in range(seeds)}
