"""The dynamic baselines, against plain versions and the laws they state."""

import math
from functools import partial

import pytest
import torch

from bls_bench.pruning.moving import moving
from bls_bench.pruning.pruner import Epoch
from bls_bench.pruning.pruners.epsilon_greedy import EpsilonGreedyPruner, epsilon_greedy
from bls_bench.pruning.pruners.importance import ImportancePruner, inclusion
from bls_bench.pruning.pruners.repb_importance import RePBImportancePruner
from bls_bench.pruning.pruners.selective_backprop import SelectiveBackpropPruner, percentiles
from bls_bench.pruning.pruners.ucb import UCBPruner
from bls_bench.pruning.selection import largest, systematic

from .helpers import make_state, run_epoch, skewed_losses

pytestmark = pytest.mark.pruning


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_largest_draws_ties_at_random():
    values = torch.tensor([1.0, 1.0, 1.0, 2.0, 0.0, torch.nan])
    chosen = [set(largest(values, 3, generator(seed)).tolist()) for seed in range(200)]
    assert all({3, 5} <= some and 4 not in some for some in chosen)
    for tied in (0, 1, 2):
        assert sum(tied in some for some in chosen) == pytest.approx(200 / 3, abs=5 * math.sqrt(200 * 2 / 9))


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_moving_mean_and_variance_are_those_of_the_weighted_history(alpha):
    history = torch.randn(9, generator=generator()).double()
    mean, variance = torch.tensor([torch.nan], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for value in history:
        mean, variance = moving(mean, variance, value[None], alpha)
    shares = [(1 - alpha) ** 8] + [alpha * (1 - alpha) ** (8 - k) for k in range(1, 9)]
    plain = sum(share * float(x) for share, x in zip(shares, history, strict=True))
    spread = sum(share * (float(x) - plain) ** 2 for share, x in zip(shares, history, strict=True))
    assert float(mean) == pytest.approx(plain)
    assert float(variance) == pytest.approx(spread, abs=1e-12)


@pytest.mark.parametrize("pruner", [EpsilonGreedyPruner(epsilon=0.25, alpha=0.6), UCBPruner(c=2, alpha=0.6)])
def test_bandits_against_a_plain_loop(pruner):
    n = 200
    state, history = make_state(pruner, n=n), {i: [] for i in range(n)}
    for epoch in range(6):
        losses = skewed_losses(n, seed=epoch)
        selection, _ = run_epoch(state, losses)
        for i in selection.indices.tolist():
            history[i].append(float(losses[i]))
        assert len(selection) == (n if epoch == 0 else n // 2)
    bounds = []
    for values in history.values():
        mean, variance = values[0], 0.0
        for value in values[1:]:
            step = value - mean
            mean += 0.6 * step
            variance = 0.4 * (variance + 0.6 * step**2)
        bounds.append(mean + getattr(pruner, "c", 0) * math.sqrt(variance))
    best = sorted(range(n), key=lambda i: -bounds[i])
    kept = set(state.begin_epoch().indices.tolist())
    sure = n // 2 if isinstance(pruner, UCBPruner) else round(0.75 * (n // 2))
    assert set(best[:sure]) <= kept
    assert len(kept) == n // 2


def test_epsilon_of_the_kept_are_drawn_from_the_rest_uniformly():
    values = torch.arange(30.0)
    drawn = torch.zeros(30)
    for seed in range(300):
        chosen = epsilon_greedy(values, 10, 0.5, generator(seed))
        assert len(chosen.unique()) == 10
        drawn[chosen] += 1
    assert (drawn[25:] == 300).all()
    torch.testing.assert_close(
        drawn[:25] / 300, torch.full((25,), 0.2), rtol=0, atol=5 * math.sqrt(0.16 / 300)
    )


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 0.75])
def test_selective_backprop_keeps_the_expected_share_and_rather_hard_samples(ratio):
    n = 20_000
    state = make_state(SelectiveBackpropPruner(prune_ratio=ratio), n=n)
    losses = skewed_losses(n)
    run_epoch(state, losses)
    kept = torch.zeros(n).index_fill_(0, state.begin_epoch().indices, 1)
    assert kept.mean() == pytest.approx(1 - ratio, abs=5 * math.sqrt(0.25 / n))
    easy, hard = kept[losses.argsort()].view(2, -1).mean(1)
    beta = ratio / (1 - ratio)
    assert easy == pytest.approx(0.5**beta / (beta + 1), abs=0.02)  # the mean of u^beta over u < 1/2
    assert hard >= easy


def test_percentiles_are_ranks_with_ties_at_random():
    scores = torch.tensor([3.0, torch.nan, 1.0, 3.0, 2.0])
    found = torch.stack([percentiles(scores, generator(seed)) for seed in range(100)])
    assert found[:, 1].isnan().all()
    assert found[:, [2, 4]].unique(dim=0).tolist() == [[1 / 8, 3 / 8]]
    assert found[:, [0, 3]].unique(dim=0).tolist() == [[5 / 8, 7 / 8], [7 / 8, 5 / 8]]


def test_systematic_sampling_keeps_the_chances_and_the_number():
    chances = torch.rand(20, generator=generator()).double()
    chances[:3] = torch.tensor([0.0, 1.0, 1.0])
    drawn = torch.stack([systematic(chances, generator(seed)) for seed in range(2000)]).double()
    expected = float(chances.sum())
    assert set(drawn.sum(1).tolist()) == {math.floor(expected), math.ceil(expected)}
    error = 5 * (chances * (1 - chances) / 2000).sqrt()
    assert bool(((drawn.mean(0) - chances).abs() <= error + 1e-12).all())


def plain_inclusion(values, share):
    """Bisect for c in sum of min(1, c * v) = share * n."""
    low, high = 0.0, 1e40
    for _ in range(200):
        c = (low + high) / 2
        low, high = (c, high) if sum(min(1, c * v) for v in values) < share * len(values) else (low, c)
    return [min(1.0, c * v) for v in values]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_inclusion_against_bisection_in_every_segment(share, smoothing):
    scores, sizes = skewed_losses(70).double() - 0.1, [30, 1, 39]
    ours = inclusion(scores, torch.tensor(sizes), share, smoothing)
    for part, mine in zip(scores.split(sizes), ours.split(sizes), strict=True):
        values = part.clamp(min=0)
        values = (1 - smoothing) * values + smoothing * values.mean() + 1e-12 * values.mean() + 1e-30
        torch.testing.assert_close(
            mine, torch.tensor(plain_inclusion(values.tolist(), share)).double(), atol=1e-6, rtol=0
        )


def test_inclusion_of_unknown_or_equal_scores():
    whole = torch.tensor([4])
    assert inclusion(torch.zeros(4), whole, 0.5, 0.0).tolist() == pytest.approx([0.5] * 4)
    chances = inclusion(torch.tensor([1.0, 3.0, torch.nan, torch.nan]), whole, 0.25, 0.0)
    assert chances.tolist() == pytest.approx([1 / 8, 3 / 8, 1 / 4, 1 / 4])


def test_importance_sampling_is_unbiased_and_bounded():
    """The mean of sum w_i x_i over many draws is sum x_i, for any x."""
    n, draws = 300, 1000
    losses, values = skewed_losses(n), torch.randn(n, generator=generator(1))
    state = make_state(ImportancePruner(prune_ratio=0.6, smoothing=0.2), n=n)
    run_epoch(state, losses)
    totals = []
    for seed in range(draws):
        state._upcoming, state.seed = None, seed
        selection = state.upcoming()
        assert float(selection.weights.max()) <= 1 / (0.2 * 0.4) + 1e-4
        totals.append(float((selection.weights * values[selection.indices]).sum()))
        assert len(selection) == 120
    totals = torch.tensor(totals)
    assert float(totals.mean()) == pytest.approx(
        float(values.sum()), abs=5 * float(totals.std()) / math.sqrt(draws)
    )


def test_importance_sampling_prefers_high_scores_and_starts_whole():
    n = 2000
    state = make_state(ImportancePruner(), n=n)
    losses = skewed_losses(n)
    assert len(run_epoch(state, losses)[0]) == n
    selection = state.begin_epoch()
    assert losses[selection.indices].mean() > 1.3 * losses.mean()
    order = losses[selection.indices].argsort()
    assert selection.weights[order[0]] > selection.weights[order[-1]] == 1


@pytest.mark.parametrize(
    "pruner",
    [
        EpsilonGreedyPruner,
        UCBPruner,
        SelectiveBackpropPruner,
        ImportancePruner,
        RePBImportancePruner,
        partial(RePBImportancePruner, resample=False),
    ],
)
def test_what_is_pruned_without_a_target_is_what_is_expected(pruner):
    state = make_state(pruner(prune_ratio=0.3), n=2000, epochs=8)
    for epoch in range(8):
        run_epoch(state, skewed_losses(2000, epoch) * 0.8**epoch, batch_size=100)
    assert state.pruned_percent == pytest.approx(state.pruner.expected_percent(8), abs=0.1)


def test_repb_samples_every_window_on_its_own():
    n, size = 3200, 32
    losses = skewed_losses(n) + torch.arange(n) / 100  # far from alike between windows
    pruner = RePBImportancePruner(prune_ratio=0.6, smoothing=0.0)
    state = make_state(pruner, n=n)
    selection, _ = run_epoch(state, losses, size)
    chances = torch.zeros(n)
    for window in selection.indices.split(size):
        plain = plain_inclusion(losses[window].tolist(), 0.4)
        chances[window] = torch.tensor(plain)
    found = torch.zeros(n)
    for seed in range(100):
        state._upcoming, state.seed = None, seed
        found[state.upcoming().indices] += 0.01
    assert float(((found - chances) / (chances * (1 - chances) / 100).sqrt().clamp(min=1e-3)).std()) < 1.1
    assert float((found - chances).abs().max()) < 0.3


@pytest.mark.parametrize(
    ("pruner", "settings", "message"),
    [
        (EpsilonGreedyPruner, {"prune_ratio": 1}, r"prune_ratio must be in \[0, 1\)"),
        (EpsilonGreedyPruner, {"epsilon": 1.5}, r"epsilon must be in \[0, 1\]"),
        (EpsilonGreedyPruner, {"alpha": 0}, r"alpha must be in \(0, 1\]"),
        (UCBPruner, {"c": -1}, "c must be at least 0"),
        (SelectiveBackpropPruner, {"prune_ratio": 1}, r"prune_ratio must be in \[0, 1\)"),
        (RePBImportancePruner, {"smoothing": -1}, r"smoothing must be in \[0, 1\]"),
        (ImportancePruner, {"smoothing": 2}, r"smoothing must be in \[0, 1\]"),
    ],
)
def test_bad_settings(pruner, settings, message):
    with pytest.raises(ValueError, match=message):
        pruner(**settings)


def test_selective_backprop_keeps_each_sample_as_often_as_a_plain_draw_would():
    losses, ratio, draws = skewed_losses(12), 0.6, 3000
    beta = ratio / (1 - ratio)
    plain = []
    for loss in losses.tolist():
        easier = sum(other < loss for other in losses.tolist())
        plain.append(((easier + 0.5) / len(losses)) ** beta)
    kept = torch.zeros(12)
    for seed in range(draws):
        epoch = Epoch(1, 2, losses, torch.ones(12, dtype=torch.int32), generator(seed), used=12)
        kept[SelectiveBackpropPruner(prune_ratio=ratio).select(epoch).indices.long()] += 1
    torch.testing.assert_close(kept / draws, torch.tensor(plain), rtol=0, atol=5 * math.sqrt(0.25 / draws))
