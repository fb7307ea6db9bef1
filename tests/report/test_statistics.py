"""The statistics, against scipy and as laws."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bls_bench.report.statistics import compare, corrected, power, seeds_for, spread

FULL = dict(enumerate([78.1, 78.4, 78.0, 78.3, 78.2]))
accuracies = st.lists(st.floats(0, 100), min_size=3, max_size=8)


def shifted(*by):
    return {seed: FULL[seed] + step for seed, step in enumerate(by)}


def test_spread_is_the_sample_standard_deviation():
    found = spread([1.0, 2.0, 4.0])
    assert (found.mean, found.n) == (pytest.approx(7 / 3), 3)
    assert found.std == pytest.approx(stats.tstd([1.0, 2.0, 4.0]))
    assert spread([]) is None
    assert spread([5.0]).std is None


def test_the_interval_is_that_of_scipys_paired_t_test():
    method = shifted(-0.1, 0.2, -0.3, 0.1, 0.4)
    expected = stats.ttest_rel([*method.values()], [*FULL.values()]).confidence_interval(0.95)
    found = compare(method, FULL, 0.5, "higher")
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


@given(accuracies, st.floats(0.1, 5))
def test_equivalence_is_scipys_two_one_sided_t_tests(values, margin):
    differences = [value - 50 for value in values]
    if max(differences) - min(differences) < 1e-3:
        return
    method, full = dict(enumerate(values)), dict.fromkeys(range(len(values)), 50.0)
    lower = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    upper = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    assert compare(method, full, margin, "higher").p_equivalent == pytest.approx(max(lower, upper), rel=1e-6)


@given(accuracies, st.floats(0.1, 5))
def test_lossless_means_that_the_90_percent_interval_lies_within_the_margin(values, margin):
    method, full = dict(enumerate(values)), dict.fromkeys(range(len(values)), 50.0)
    found = compare(method, full, margin, "higher")
    if found.p_equivalent is None or abs(found.p_equivalent - 0.05) < 1e-6:
        return
    interval = stats.ttest_1samp([value - 50 for value in values], 0).confidence_interval(0.9)
    assert (found.verdict == "lossless") == (-margin < interval.low and interval.high < margin)


@pytest.mark.parametrize("images", [-2, -1, 0, 1, 2])
def test_equal_differences_say_nothing_whatever_their_rounding(images):
    correct = {0: 341, 1: 352, 2: 347}  # of 360, so that no accuracy is exact in binary
    full = {seed: 100 * count / 360 for seed, count in correct.items()}
    method = {seed: 100 * (count + images) / 360 for seed, count in correct.items()}
    assert compare(method, full, 0.5, "higher").verdict == "not enough seeds"


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ((0.0, 0.1, -0.1, 0.05, -0.05), "lossless"),
        ((-0.1, -0.2, -0.15, -0.12, -0.18), "lossless"),  # surely below zero, and surely by less than 0.5
        ((-1.0, -1.2, -0.9, -1.1, -1.3), "worse"),
        ((1.0, 1.2, 0.9, 1.1, 1.3), "better"),
        ((-2.0, 2.0, 1.0, -1.0, 0.5), "not enough seeds"),
        ((0.0, 0.01), "not enough seeds"),  # two seeds say nothing, however alike
        ((0.25, 0.25, 0.25), "not enough seeds"),  # no spread: nothing to test against
    ],
)
def test_verdict(steps, word):
    found = compare(shifted(*steps), FULL, 0.5, "higher")
    assert found.verdict == word
    assert found.n == len(steps)


def test_a_wider_margin_never_takes_lossless_away():
    words = [
        compare(shifted(0.3, 0.1, 0.4, 0.2, 0.35), FULL, margin, "higher").verdict
        for margin in (0.2, 0.5, 1.0)
    ]
    assert words == ["better", "lossless", "lossless"]


def test_only_common_seeds_are_paired():
    assert compare({7: 70.0}, FULL, 0.5, "higher") is None
    found = compare({0: 78.0, 9: 10.0}, FULL, 0.5, "higher")
    assert (found.n, found.low) == (1, None)
    assert math.isclose(found.difference, -0.1, abs_tol=1e-9)


@pytest.mark.parametrize(("deviation", "seeds"), [(0.6, 14), (0.8, 24), (0.02, 3)])
def test_the_seeds_for_a_margin_of_half_a_point(deviation, seeds):
    assert seeds_for(deviation / 0.5) == seeds
    assert power(seeds, deviation / 0.5) >= 0.8
    assert seeds == 3 or power(seeds - 1, deviation / 0.5) < 0.8


def test_the_power_is_that_of_simulated_tests():
    draws = np.random.default_rng(0).normal(0, 1.2, (20000, 14))
    error = draws.std(1, ddof=1) / np.sqrt(14)
    lossless = np.abs(draws.mean(1)) + stats.t.ppf(0.95, 13) * error < 1
    assert power(14, 1.2) == pytest.approx(lossless.mean(), abs=4 * np.sqrt(0.16 / 20000))


def test_not_enough_seeds_says_how_many_would_do():
    found = compare(shifted(2.0, -1.0, 1.0, -1.0, 0.5), FULL, 0.5, "higher")
    assert found.told == f"not enough seeds (about {seeds_for(found.deviation / 0.5)})"
    assert compare(shifted(0.25, 0.25, 0.25), FULL, 0.5, "higher").told == "not enough seeds"
    assert compare(shifted(-1.0, -1.2, -0.9, -1.1, -1.3), FULL, 0.5, "higher").told == "worse"
    assert compare(shifted(2.0, -1.0, 1.0), FULL, None, "higher").told == ""
    apart = replace(compare(shifted(-2.0, -1.2, -0.9, -1.1, -1.3), FULL, 0.5, "higher"), p_zero=0.2)
    assert apart.told == "not enough seeds (worse by itself)"  # open by the correction alone
    # Enough by their spread, were there no difference; but there is one.
    near = dict(enumerate(0.05 + 0.4 * np.sin(np.arange(40.0) * 2)))
    known = replace(compare(near, dict.fromkeys(near, 0.0), 0.5, "higher"), p_equivalent=0.1)
    assert known.told == "not enough seeds"


def plain_holm(values):
    """Go from the smallest p on; reject while p times how many are left is small, and no more after that."""
    left, rejected = list(values), set()
    while left:
        smallest = min(left)
        if smallest * len(left) >= 0.05:
            break
        rejected.add(smallest)
        left.remove(smallest)
    return [value in rejected for value in values]


@given(st.lists(st.floats(1e-6, 1), max_size=12, unique=True))
def test_a_family_is_corrected_as_by_a_plain_holm(values):
    one = compare(shifted(2.0, -1.0, 1.0, -1.0, 0.5), FULL, 0.5, "higher")
    family = [None, *(replace(one, p_zero=p) for p in values), replace(one, n=2), replace(one, p_zero=None)]
    found = corrected(family)
    assert [one.p_zero < 0.05 for one in found[1:-2]] == plain_holm(values)
    assert (found[0], found[-2:]) == (family[0], family[-2:])


def test_a_table_of_what_is_alike_calls_anything_better_or_worse_in_one_of_twenty_at_most():
    rng, tables, called = np.random.default_rng(0), 300, 0
    for _ in range(tables):
        full = dict(enumerate(rng.normal(78, 1, 5)))
        rows = [dict(enumerate(rng.normal(78, 1, 5))) for _ in range(20)]
        found = corrected([compare(row, full, 0.5, "higher") for row in rows])
        called += any(one.outcome in ("better", "worse") for one in found)
    assert called / tables <= 0.05


OPPOSITE = {"better": "worse", "worse": "better"}


@given(accuracies, st.floats(0.1, 5))
def test_where_lower_is_better_worse_and_better_change_places_and_nothing_else_does(values, margin):
    method, full = dict(enumerate(values)), dict.fromkeys(range(len(values)), 50.0)
    higher, lower = (compare(method, full, margin, better) for better in ("higher", "lower"))
    assert lower.verdict == OPPOSITE.get(higher.verdict, higher.verdict)
    assert (lower.difference, lower.low, lower.high) == (higher.difference, higher.low, higher.high)


def test_without_a_margin_there_is_an_interval_and_no_verdict():
    found = compare(shifted(-1.0, -1.2, -0.9, -1.1, -1.3), FULL, None, "higher")
    assert found.low < found.difference < found.high < 0
    assert (found.verdict, found.p_equivalent) == (None, None)


@given(st.integers(-9, 9))
def test_the_verdict_does_not_depend_on_the_unit(power):
    steps, scale = (-1.0, -1.2, -0.9, -1.1, -1.3), 10.0**power
    method, full = ({seed: value * scale for seed, value in runs.items()} for runs in (shifted(*steps), FULL))
    assert compare(method, full, 0.5 * scale, "higher").verdict == "worse"


def test_a_difference_that_only_the_table_takes_back_is_told():
    method = {seed: 50.0 + spread for seed, spread in enumerate((0.0, 0.4, 0.8))}
    alone = compare(method, dict.fromkeys(range(3), 60.0), 0.5, "higher")
    assert alone.told == "worse"
    many = corrected([alone] + [replace(alone, p_zero=0.9)] * 2000)[0]
    assert many.told == "not enough seeds (worse by itself)"
