"""Means with their spread, the tests behind the words of a verdict, and the seeds that one takes."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
POWER = 0.8
MIN_SEEDS = 3
# Of the largest value: equal differences of accuracies, fractions in floating point, are equal to about
# 1e-16 of it, and those of one test image in ten million are further apart than this.
NO_SPREAD = 1e-8
LOSSLESS, BETTER, WORSE, OPEN = OUTCOMES = ("lossless", "better", "worse", "open")
UNDECIDED = "not enough seeds"


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation (n - 1 in the divisor; None for one value) and n."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A method against another, full-data training as a rule, with the same seeds.

    difference: mean of method - other, in the metric's unit; low, high: its 95% t interval, deviation: the
    sample standard deviation of the differences, all None below two seeds. p_equivalent: the larger p of the
    two one-sided tests at the margin, None without a margin or a spread. p_zero: of the two-sided test that
    the mean difference is zero, None without a spread; corrected where the comparison is one of a family,
    see `corrected`. better: whether higher or lower values are. look, looks: which of how many looks at a
    growing number of seeds this is, 0 before the first; looks is 0 where the seeds were given
    (`sequential.judged`).
    """

    n: int
    difference: float
    low: float | None
    high: float | None
    deviation: float | None
    p_equivalent: float | None
    p_zero: float | None
    margin: float | None
    better: str
    look: int = 0
    looks: int = 0

    @property
    def outcome(self) -> str:
        """Say in one of four words what the seeds show.

        lossless: the two one-sided tests put the difference within the margin, p < 0.05, whether or not it
        is zero. worse, better: not so, and p_zero < 0.05. open: all else; a difference that is neither shown
        to be small nor to exist takes more seeds to tell. Below three seeds, and with no spread at all among
        the differences (accuracies come in steps of one test image), nothing is said.
        """
        if self.n < MIN_SEEDS or self.p_zero is None:
            return OPEN
        if self.p_equivalent is not None and self.p_equivalent < 1 - CONFIDENCE:
            return LOSSLESS
        if self.p_zero >= 1 - CONFIDENCE:
            return OPEN
        return BETTER if (self.difference > 0) == (self.better == "higher") else WORSE

    @property
    def verdict(self) -> str | None:
        """The outcome as the tables name it; None without a margin."""
        if self.margin is None:
            return None
        return UNDECIDED if self.outcome == OPEN else self.outcome

    @property
    def told(self) -> str:
        """The verdict, and where there are not enough seeds how many it would take; empty without a margin.

        In place of these, what the comparison would say were it the only one of its family.
        """
        about = f" (about {self.seeds_needed})" if self.seeds_needed else ""
        if self.verdict == UNDECIDED and self.side is not None:
            about = f" ({self.side} by itself)"
        if self.verdict is not None and self.looks:
            about += (
                f", look {self.look} of {self.looks}" if self.look else f", before look 1 of {self.looks}"
            )
        return f"{self.verdict or ''}{about}"

    @property
    def side(self) -> str | None:
        """The side of zero that the 95% interval lies on; None where it holds zero, or nothing is said."""
        if self.n < MIN_SEEDS or self.p_zero is None or self.low is None or self.high is None:
            return None
        if self.low <= 0 <= self.high:
            return None
        return BETTER if (self.low > 0) == (self.better == "higher") else WORSE

    @property
    def seeds_needed(self) -> int | None:
        """How many seeds would do were there no difference, see `seeds_for`.

        None where it is decided or unknown, where the interval leaves out zero, where there are as many
        seeds and yet nothing is shown, and where looks decide how many there will be.
        """
        if self.looks or self.n < MIN_SEEDS or self.p_zero is None or self.verdict != UNDECIDED:
            return None
        if self.low is None or self.high is None or not self.low <= 0 <= self.high:
            return None
        if self.deviation is None or self.margin is None:
            return None
        needed = seeds_for(self.deviation / self.margin)
        return needed if needed > self.n else None


def spread(values: Sequence[float]) -> Spread | None:
    """Summarise the values; None if there are none."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))


def compare(
    method: Mapping[int, float], full: Mapping[int, float], margin: float | None, better: str
) -> Comparison | None:
    """Pair two sets of values of a metric by their seeds; None if they share no seed."""
    differences = [method[seed] - full[seed] for seed in sorted(method.keys() & full.keys())]
    found = spread(differences)
    if found is None:
        return None
    low, high, p_equivalent, p_zero = None, None, None, None
    if found.std is not None:
        error = found.std / math.sqrt(found.n)
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, found.n - 1)) * error
        low, high = found.mean - half, found.mean + half
        largest = max(map(abs, (*method.values(), *full.values())))
        # Where the error is 0 but for rounding there is no spread, nothing to test against.
        if error > NO_SPREAD * largest:
            p_zero = float(2 * stats.t.sf(abs(found.mean) / error, found.n - 1))
            p_equivalent = None if margin is None else tost(found.mean, error, found.n, margin)
    return Comparison(
        n=found.n,
        difference=found.mean,
        low=low,
        high=high,
        deviation=found.std,
        p_equivalent=p_equivalent,
        p_zero=p_zero,
        margin=margin,
        better=better,
    )


def tost(mean: float, error: float, n: int, margin: float) -> float:
    """Return the larger p-value of the two one-sided t-tests for |mean| < margin (Schuirmann 1987).

    error: the standard error of the mean, above 0.
    """
    return float(stats.t.sf(min(mean + margin, margin - mean) / error, n - 1))


def corrected(family: Sequence[Comparison | None]) -> list[Comparison | None]:
    """Correct the p_zero of comparisons that answer one question together (Holm 1979).

    The chance that any of them whose true difference is zero is called better or worse is then at most 5%,
    however they depend on each other. Those without a test, below three seeds or without a spread, and
    places without a comparison stay as they are and do not count.
    """
    found = list(family)
    tested = [
        (one.p_zero, place)
        for place, one in enumerate(found)
        if one is not None and one.p_zero is not None and one.n >= MIN_SEEDS
    ]
    least = 0.0
    for rank, (p, place) in enumerate(sorted(tested)):
        least = max(least, min(1.0, p * (len(tested) - rank)))
        one = found[place]
        found[place] = one and replace(one, p_zero=least)
    return found


def power(n: int, ratio: float) -> float:
    """Return how likely n pairs show "lossless" where there is no difference at all.

    ratio: the true standard deviation of the differences, which are normal, over the margin. The two
    one-sided tests succeed if |mean| < margin - t s / sqrt(n); s is independent of the mean, so this is an
    integral over the distribution of s, here by the midpoint rule over its quantiles.
    """
    shares = (np.arange(4000) + 0.5) / 4000
    s = ratio * np.sqrt(stats.chi2.ppf(shares, n - 1) / (n - 1))
    room = 1 - stats.t.ppf(CONFIDENCE, n - 1) * s / math.sqrt(n)
    return float(np.mean(2 * stats.norm.cdf(np.maximum(room, 0) * math.sqrt(n) / ratio) - 1))


@cache
def seeds_for(ratio: float) -> int:
    """Return the fewest pairs of seeds that show "lossless" with 80% power where there is no difference.

    ratio: the standard deviation of the differences over the margin.
    """
    low, high = MIN_SEEDS - 1, MIN_SEEDS
    while power(high, ratio) < POWER:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, ratio) >= POWER else (middle, high)
    return high
