"""Means with their spread, and the test behind the word "lossless"."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.95
MIN_SEEDS = 3
# Of the largest value: equal differences of accuracies, fractions in floating point, are equal to about
# 1e-16 of it, and those of one test image in ten million are further apart than this.
NO_SPREAD = 1e-8


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation (n - 1 in the divisor; None for one value) and n."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Comparison:
    """A method against full-data training with the same seeds.

    difference: mean of method - full, in the metric's unit; low, high: its 95% t interval, None below two
    seeds; p_equivalent: the larger p of the two one-sided tests at the margin, None without one; verdict: see
    `verdict`, None without a margin.
    """

    n: int
    difference: float
    low: float | None
    high: float | None
    p_equivalent: float | None
    verdict: str | None


def spread(values: Sequence[float]) -> Spread | None:
    """Summarise the values; None if there are none."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))


def compare(
    method: Mapping[int, float], full: Mapping[int, float], margin: float | None, better: str
) -> Comparison | None:
    """Pair two sets of values of a metric by their seeds; None if they share no seed.

    better: whether higher or lower values are.
    """
    differences = [method[seed] - full[seed] for seed in sorted(method.keys() & full.keys())]
    found = spread(differences)
    if found is None:
        return None
    low, high, p, word = None, None, None, None
    if found.std is not None:
        error = found.std / math.sqrt(found.n)
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, found.n - 1)) * error
        low, high = found.mean - half, found.mean + half
        largest = max(map(abs, (*method.values(), *full.values())))
        # Where the error is 0 but for rounding there is no spread, nothing to test against.
        if margin is not None and error > NO_SPREAD * largest:
            p = tost(found.mean, error, found.n, margin)
    if margin is not None:
        word = verdict(found.n, low, high, p, better)
    return Comparison(found.n, found.mean, low, high, p, word)


def tost(mean: float, error: float, n: int, margin: float) -> float:
    """Return the larger p-value of the two one-sided t-tests for |mean| < margin (Schuirmann 1987).

    error: the standard error of the mean, above 0.
    """
    return float(stats.t.sf(min(mean + margin, margin - mean) / error, n - 1))


def verdict(n: int, low: float | None, high: float | None, p_equivalent: float | None, better: str) -> str:
    """Say in one of four words what the seeds show.

    lossless: the two one-sided tests put the difference within the margin, p < 0.05, whether or not it
    is zero. worse, better: not so, and the whole 95% interval lies on that side of zero. not enough
    seeds: all else; a difference that is neither shown to be small nor to exist takes more seeds to
    tell. Below three seeds, and with no spread at all among the differences (accuracies come in steps
    of one test image), nothing is said.
    """
    if n < MIN_SEEDS or low is None or high is None or p_equivalent is None:
        return "not enough seeds"
    if p_equivalent < 1 - CONFIDENCE:
        return "lossless"
    if low <= 0 <= high:
        return "not enough seeds"
    return "better" if (low > 0) == (better == "higher") else "worse"
