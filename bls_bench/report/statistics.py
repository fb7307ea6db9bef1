"""Means with their spread, and the test behind the word "lossless"."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.95
MIN_SEEDS = 3
# Accuracies are fractions in floating point: equal differences between them are equal to about 1e-14 points,
# and those of one test image in ten million are further apart than this.
NO_SPREAD = 1e-6


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation (n - 1 in the divisor; None for one value) and n."""

    mean: float
    std: float | None
    n: int

    @property
    def text(self) -> str:
        std = "no spread" if self.std is None else f"± {self.std:.2f}"
        return f"{self.mean:.2f} {std} (n={self.n})"


@dataclass(frozen=True)
class Comparison:
    """A method against full-data training with the same seeds.

    difference: mean of method - full, in points; low, high: its 95% t interval, None below two seeds;
    p_equivalent: the larger p of the two one-sided tests at the margin; verdict: see `verdict`.
    """

    n: int
    difference: float
    low: float | None
    high: float | None
    p_equivalent: float | None
    verdict: str


def spread(values: Sequence[float]) -> Spread | None:
    """Summarise the values; None if there are none."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))


def compare(method: Mapping[int, float], full: Mapping[int, float], margin: float) -> Comparison | None:
    """Pair two sets of accuracies, in percent, by their seeds; None if they share no seed."""
    differences = [method[seed] - full[seed] for seed in sorted(method.keys() & full.keys())]
    found = spread(differences)
    if found is None:
        return None
    low, high, p = None, None, None
    if found.std is not None:
        error = found.std / math.sqrt(found.n)
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, found.n - 1)) * error
        low, high = found.mean - half, found.mean + half
        p = tost(found.mean, error, found.n, margin)
    return Comparison(found.n, found.mean, low, high, p, verdict(found.n, low, high, p))


def tost(mean: float, error: float, n: int, margin: float) -> float | None:
    """Return the larger p-value of the two one-sided t-tests for |mean| < margin (Schuirmann 1987).

    error: the standard error of the mean. None where it is 0 but for rounding: no spread, nothing to test
    against.
    """
    if error < NO_SPREAD:
        return None
    return float(stats.t.sf(min(mean + margin, margin - mean) / error, n - 1))


def verdict(n: int, low: float | None, high: float | None, p_equivalent: float | None) -> str:
    """Say in one of four words what the seeds show.

    lossless: the two one-sided tests put the difference within the margin, p < 0.05, whether or not it
    is zero. worse, better: not so, and the whole 95% interval lies on one side of zero. not enough
    seeds: all else; a difference that is neither shown to be small nor to exist takes more seeds to
    tell. Below three seeds, and with no spread at all among the differences (accuracies come in steps
    of one test image), nothing is said.
    """
    if n < MIN_SEEDS or low is None or high is None or p_equivalent is None:
        return "not enough seeds"
    if p_equivalent < 1 - CONFIDENCE:
        return "lossless"
    if high < 0:
        return "worse"
    return "better" if low > 0 else "not enough seeds"
