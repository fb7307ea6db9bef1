import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bls_bench.pruning.pruners.seta import SeTaPruner, window
from bls_bench.pruning.scorers.bls import BatchLossScore

from .helpers import make_state, run_epoch, skewed_losses

pytestmark = pytest.mark.pruning


def plain_groups(values, k):
    """The groups of least inertia, by trying every cut: Python loops over samples."""
    ordered = sorted(values)
    n = len(ordered)
    sums = [0, *itertools.accumulate(ordered)]
    squares = [0, *itertools.accumulate(v * v for v in ordered)]

    def cost(a, b):
        return squares[b] - squares[a] - (sums[b] - sums[a]) ** 2 / (b - a)

    best, cuts = {0: 0.0}, {0: []}
    for _ in range(k):
        found = {
            b: min((best[a] + cost(a, b), a) for a in best if a < b) for b in range(1, n + 1) if min(best) < b
        }
        best, cuts = {b: v for b, (v, _) in found.items()}, {b: [*cuts[a], a] for b, (_, a) in found.items()}
    return [sum(value >= ordered[cut] for cut in cuts[n][1:]) for value in values]


@pytest.mark.parametrize("window_scale", [0.9, 0.4, 0.2])
def test_selection_matches_a_plain_implementation(window_scale):
    n, k, ratio = 150, 5, 0.1
    losses = skewed_losses(n)
    state = make_state(SeTaPruner(prune_ratio=ratio, num_groups=k, window_scale=window_scale), n=n, epochs=12)
    state_scores = None
    for epoch in range(10):
        selection, _ = run_epoch(state, losses)
        if epoch > 0:
            # The same draw, then everything else sample by sample.
            from bls_bench.system.streams import stream

            drawn = torch.randperm(n, generator=stream(0, "select", epoch))[: int(n * (1 - ratio))].tolist()
            known = [s for s in state_scores if s == s]
            mean = sum(known) / len(known)
            values = [state_scores[i] if state_scores[i] == state_scores[i] else mean for i in drawn]
            groups = plain_groups(values, k)
            width = max(1, round(k * window_scale))
            first = epoch % (k - width + 1)
            expected = [i for i, g in zip(drawn, groups, strict=True) if first <= g < first + width]
            assert selection.indices.tolist() == expected
        state_scores = state.scores.double().tolist()


@given(k=st.integers(1, 12), scale=st.floats(0.01, 1))
def test_the_window_visits_every_group_from_easy_to_hard(k, scale):
    assert window(0, k, scale) == (0, k)
    width = max(1, round(k * scale))
    cycle = [window(count, k, scale) for count in range(k - width + 1, 2 * (k - width + 1))]
    assert [first for first, _ in cycle] == list(range(k - width + 1))
    assert {group for first, last in cycle for group in range(first, last)} == set(range(k))


def test_published_window_is_four_of_five():
    assert window(1, 5, 0.9) == (1, 5)
    assert window(2, 5, 0.9) == (0, 4)


@pytest.mark.parametrize(("anneal", "size"), [("partial", 900), ("full", 1000)])
def test_annealing(anneal, size):
    losses = skewed_losses(1000)
    state = make_state(SeTaPruner(window_scale=0.4, anneal=anneal), epochs=8)
    kept = [run_epoch(state, losses)[0] for _ in range(8)]
    assert [len(s) for s in kept[7:]] == [size]
    assert len(kept[0]) == 900
    assert all(len(s) < 900 for s in kept[1:7])
    assert all(s.weights is None for s in kept)


def test_equal_scores_make_equal_chunks():
    state = make_state(SeTaPruner(window_scale=0.4), BatchLossScore(alpha=1), n=1000)
    losses = skewed_losses(1000)
    run_epoch(state, losses)
    assert len(run_epoch(state, losses)[0]) == 900 * 2 // 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prune_ratio": 1}, r"prune_ratio must be in \[0, 1\)"),
        ({"num_groups": 0}, "num_groups must be at least 1"),
        ({"window_scale": 0}, r"window_scale must be in \(0, 1\]"),
        ({"window_scale": 1.1}, r"window_scale must be in \(0, 1\]"),
        ({"delta": -1}, r"delta must be in \[0, 1\]"),
        ({"anneal": "never"}, "anneal must be partial or full"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        SeTaPruner(**settings)


def test_fewer_samples_than_groups_make_fewer_groups():
    for n in (1, 2, 4):
        state = make_state(SeTaPruner(prune_ratio=0, num_groups=5, window_scale=0.2), n=n)
        losses = torch.arange(n, dtype=torch.float32)
        assert all(len(run_epoch(state, losses)[0]) for _ in range(10))
