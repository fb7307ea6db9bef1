"""The target is reached whatever the losses do, and nothing is biased on the way."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bls_bench import BLS, InfoBatch, RandomPruning, RePB, SeTa
from bls_bench.pruning.budget import Steps
from bls_bench.pruning.pruner import Epoch
from bls_bench.pruning.pruners.infobatch import WIDEN_AT, InfoBatchPruner
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.selective_backprop import SelectiveBackpropPruner
from bls_bench.pruning.pruners.seta import SeTaPruner, fitted
from bls_bench.pruning.rate import RatedPruner, lowest, spread
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.state import PruningState

from .helpers import RATED, make_state, run_epoch, skewed_losses

pytestmark = pytest.mark.pruning

N = 2000
# The losses of N samples when a share p of the run is over.
SHAPES = {
    "falling": lambda base, p: base * (1 - p) ** 2,
    "equal": lambda base, p: torch.full_like(base, 2 - p),
    "sharpening": lambda base, p: base.pow(1 + 6 * p),
    "mostly hard": lambda base, p: 3.1 - base * (1 - p),
    "turning round": lambda base, p: base if int(20 * p) % 2 else 3.1 - base,
}


def make_epoch(losses, seed=0, used=None, index=3, total=10):
    """Epoch 3 of 10, all samples scored."""
    n = len(losses)
    generator = torch.Generator().manual_seed(seed)
    counts = torch.full((n,), index, dtype=torch.int32)
    return Epoch(index, total, losses, counts, generator, used=index * n if used is None else used)


def run_all(state, losses):
    """Train the rest of a run on losses(p), p the share of it that is over; returns the selections."""
    chosen = []
    while state.epoch < state.num_epochs:
        chosen.append(run_epoch(state, losses(state.epoch / state.num_epochs), batch_size=128)[0])
    return chosen


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", RATED)
def test_the_target_is_reached_whatever_the_losses_do(make, shape):
    base = skewed_losses(N)
    # All targets, several lengths, both kinds of scores; the shapes shift which of them meet.
    offset = list(SHAPES).index(shape)
    for tenths in range(1, 9):
        epochs = (10, 31, 10, 90, 10)[(tenths + offset) % 5]
        scorer = (PerSampleLoss, BatchLossScore)[(tenths + offset) % 2]()
        if epochs == 90 and offset > 1:
            continue
        state = make_state(make(target=tenths / 10), scorer, n=N, epochs=epochs)
        chosen = run_all(state, lambda p: SHAPES[shape](base, p))
        # Whole samples, of one or two kinds: hardly anything is left for the last epoch to miss.
        assert state.pruned_percent == pytest.approx(10 * tenths, abs=100 * 3 / N / epochs)
        assert all(s.prune_ratio is None or 0 <= s.prune_ratio < 1 for s in chosen)


def test_a_target_of_zero_prunes_nothing():
    for make in RATED:
        state = make_state(make.values[0](target=0), n=100)
        run_all(state, lambda p: skewed_losses(100))
        assert state.pruned_percent == 0


def test_what_an_epoch_fails_to_prune_the_next_ones_make_up_for():
    pruner = RandomPruner(target=0.5)
    losses = torch.ones(1000)
    # Three whole epochs of ten: the seven others have to drop 5 / 7.
    assert pruner.share(make_epoch(losses)) == pytest.approx(5 / 7)
    assert pruner.share(make_epoch(losses, used=1500)) == pytest.approx(0.5)
    assert pruner.share(make_epoch(losses, used=0)) == pytest.approx(2 / 7)
    # And InfoBatch in those that come before annealing, epochs 3 to 8.
    assert InfoBatchPruner(target=0.5).share(make_epoch(losses)) == pytest.approx(5 / 6)
    assert InfoBatchPruner(target=0.5).share(make_epoch(losses, index=9)) == 0


@pytest.mark.parametrize("shape", ["falling", "mostly hard"])
@pytest.mark.parametrize(
    "settings", [{}, {"variant": "quantile"}, {"prune": "above"}, {"prune": "random"}, {"exact_count": True}]
)
def test_infobatch_stays_unbiased_at_any_rate(settings, shape):
    losses, count = SHAPES[shape](skewed_losses(N), 0.3), 200
    mean = losses.double().mean()
    for target in (0.1, 0.3, 0.5, 0.6):
        pruner = InfoBatchPruner(target=target, **settings)
        wanted = pruner.share(make_epoch(losses))
        sums = []
        for seed in range(count):
            selection = pruner.select(make_epoch(losses, seed))
            assert len(selection) == pytest.approx(N * (1 - wanted), abs=2)
            sums.append((selection.weights.double() * losses[selection.indices]).sum() / N)
        sums = torch.stack(sums)
        assert abs(sums.mean() - mean) < 5 * sums.std() / math.sqrt(count)
        # That says something: without the weights the loss is nowhere near.
        plain = losses[selection.indices].double().sum() / N
        assert abs(plain - mean) > 5 * sums.std()


def test_infobatch_weights_are_those_of_the_rate_of_the_moment():
    losses = skewed_losses(N)
    below = losses < losses.mean()
    for target in (0.1, 0.2, 0.3):
        selection = InfoBatchPruner(target=target).select(make_epoch(losses))
        kept = below[selection.indices]
        ratio = 1 - kept.sum() / below.sum()
        assert selection.prune_ratio == pytest.approx(ratio.item(), abs=1e-6)
        torch.testing.assert_close(selection.weights, torch.where(kept, 1 / (1 - ratio), 1))


def test_infobatch_takes_the_next_candidates_rather_than_to_drop_more_of_them():
    losses = skewed_losses(N)
    low = int((losses < losses.mean()).sum())
    pruner = InfoBatchPruner(target=0.45, delta=1)
    wanted = pruner.share(make_epoch(losses)) * N
    assert WIDEN_AT * low < wanted < WIDEN_AT * N
    selection = pruner.select(make_epoch(losses))
    candidates = math.ceil(wanted / WIDEN_AT)
    assert selection.prune_ratio == pytest.approx(WIDEN_AT, abs=2 / candidates)
    bound = losses.sort().values[candidates]
    assert torch.equal(selection.weights > 1, losses[selection.indices] < bound)
    # When all are candidates the rate rises, up to the cap.
    assert len(pruner.select(make_epoch(losses, used=6 * N))) == N - int(0.95 * N)


def test_the_rates_of_the_quantile_variant_keep_their_proportion():
    losses = skewed_losses(N)
    pruner = InfoBatchPruner(target=0.2, variant="quantile")
    selection = pruner.select(make_epoch(losses))
    weights = selection.weights.unique()
    ratios = 1 - 1 / weights
    assert ratios[0] == 0
    assert ratios[2] / ratios[1] == pytest.approx(0.75 / 0.5, abs=0.01)
    assert selection.prune_ratio == pytest.approx(ratios[1].item(), abs=1e-6)


def test_a_rated_seta_draws_inside_its_window_or_fills_it_up():
    losses, generator = skewed_losses(500), torch.Generator().manual_seed(0)
    order = losses.argsort()
    inside = torch.zeros(500, dtype=torch.bool)
    inside[order[100:300]] = True
    for count in (1, 150, 200):
        marked = fitted(losses, inside, count, generator)
        assert marked.sum() == count
        assert inside[marked].all()
    shares = torch.stack([fitted(losses, inside, 50, generator) for _ in range(2000)]).float().mean(0)[inside]
    assert (shares - 0.25).abs().max() < 5 * math.sqrt(0.25 * 0.75 / 2000)
    marked = fitted(losses, inside, 330, generator)
    assert marked.sum() == 330
    assert marked[inside].all()
    low, high = losses[order[100]], losses[order[299]]
    distance = (low - losses).maximum(losses - high)
    assert distance[marked].max() <= distance[~marked].min()


def test_repb_reweights_by_history_under_a_target_too():
    losses, visits = skewed_losses(500), torch.zeros(500)
    state = make_state(RePBPruner(target=0.6), n=500, epochs=12)
    for epoch in range(12):
        selection, _ = run_epoch(state, losses)
        if epoch:
            torch.testing.assert_close(selection.weights, epoch / visits[selection.indices].clamp(min=1))
        visits[selection.indices] += 1


@pytest.mark.parametrize("make", [InfoBatchPruner, RandomPruner, RePBPruner, SelectiveBackpropPruner])
def test_the_rate_that_is_told_is_zero_where_nothing_can_go_and_else_not(make):
    state = make_state(make(target=0.5), n=1000, epochs=10)
    for selection in run_all(state, lambda p: torch.ones(1000)):  # equal losses: none lies below their mean
        assert (selection.prune_ratio > 0) == (len(selection) < 1000)


@pytest.mark.parametrize("pruner", [InfoBatchPruner(), SelectiveBackpropPruner()])
def test_an_epoch_without_scores_tells_no_rate(pruner):
    selections = run_all(make_state(pruner, epochs=2), skewed_const)
    assert selections[0].prune_ratio == 0


class TestWithoutATarget:
    """Selections are those of the plain algorithms, bit for bit."""

    def test_random(self):
        epoch, plain = make_epoch(torch.ones(99)), torch.Generator().manual_seed(0)
        selection = RandomPruner().select(epoch)
        assert torch.equal(selection.indices, torch.randperm(99, generator=plain)[:49])
        assert selection.prune_ratio == 0.5

    @pytest.mark.parametrize("variant", ["mean", "quantile"])
    def test_infobatch(self, variant):
        losses, plain = skewed_losses(200), torch.Generator().manual_seed(0)
        drop, weights = torch.zeros(200, dtype=torch.bool), torch.ones(200)
        ranks = losses.argsort().argsort()
        tiers = [(losses < losses.mean(), 0.5)]
        if variant == "quantile":
            tiers = [(ranks < 40, 0.75), ((ranks >= 40) & (ranks < 170), 0.5)]
        for candidates, ratio in tiers:
            drop |= (torch.rand(200, generator=plain) < ratio) & candidates
            weights[candidates] = 1 / (1 - ratio)
        kept = (~drop).nonzero().squeeze(1)
        kept = kept[torch.randperm(len(kept), generator=plain)]
        selection = InfoBatchPruner(variant=variant).select(make_epoch(losses))
        assert torch.equal(selection.indices, kept)
        assert torch.equal(selection.weights, weights[kept])

    def test_infobatch_keeps_the_count_of_the_authors(self):
        losses, count = skewed_losses(203), 2000
        below = losses < losses.mean()
        candidates = int(below.sum())
        assert int(0.6 * candidates) != 0.6 * candidates  # a share of them is no whole number
        sums = []
        for seed in range(count):
            selection = InfoBatchPruner(prune_ratio=0.6, exact_count=True).select(make_epoch(losses, seed))
            assert below[selection.indices].sum() == int(0.4 * candidates)
            sums.append((selection.weights.double() * losses[selection.indices]).sum())
        assert selection.weights.sum() == pytest.approx(203, rel=1e-6)
        sums = torch.stack(sums)
        assert abs(sums.mean() - losses.double().sum()) < 5 * sums.std() / math.sqrt(count)

    def test_repb(self):
        losses, state = skewed_losses(200), make_state(RePBPruner(window_pruning=False), n=200)
        run_epoch(state, losses)
        pruner, plain = state.pruner, torch.Generator().manual_seed(0)
        lucky = torch.rand(200, generator=plain) >= 0.5
        kept = ((losses >= losses.mean()) | lucky).nonzero().squeeze(1)
        kept = kept[torch.randperm(len(kept), generator=plain)]
        assert torch.equal(pruner.select(make_epoch(losses, index=1)).indices, kept)


class TestMatchEpochs:
    @pytest.mark.parametrize("make", RATED)
    def test_the_forward_passes_are_those_of_the_target(self, make):
        for target, epochs in ((0.3, 20), (0.5, 12), (0.7, 20)):
            pruner = make(target=target, match="epochs")
            state = make_state(pruner, n=500, epochs=epochs)
            kept = sum(map(len, run_all(state, lambda p: skewed_losses(500) * (1 - p))))
            assert kept == pytest.approx((1 - target) * 500 * epochs, abs=3)
            assert state.pruned_percent == pytest.approx(100 * target, abs=0.05)
            # No other number of epochs comes nearer to it at the pruner's own rate.
            below_mean = state.scorer.below_mean
            natural = [(1 - pruner.natural_share(e, below_mean)) * e for e in range(1, epochs + 1)]
            budget = (1 - target) * epochs
            others = [abs(n - budget) for e, n in enumerate(natural, 1) if e >= budget]
            assert abs(natural[state.num_epochs - 1] - budget) == min(others)

    def test_a_run_of_half_the_epochs(self):
        # Half of the samples a time: 0.3 * 20 epochs' worth takes 12 epochs, at the rate of always.
        state = make_state(RandomPruner(target=0.7, match="epochs"), epochs=20)
        assert (state.num_epochs, state.epochs_asked) == (12, 20)
        assert [s.prune_ratio for s in run_all(state, skewed_const)] == pytest.approx([0.5] * 12)

    @pytest.mark.parametrize(
        ("shape", "target", "scorer"),
        [
            ("falling", 0.4, PerSampleLoss),
            ("turning round", 0.1, PerSampleLoss),
            ("sharpening", 0.6, BatchLossScore),
            ("mostly hard", 0.5, PerSampleLoss),
        ],
    )
    @pytest.mark.parametrize("make", RATED)
    def test_until_its_last_pruning_epochs_a_run_is_that_of_its_own_rate(self, make, shape, target, scorer):
        """Sample for sample and weight for weight, whatever the scores do; and the target is met."""
        n, epochs, base = 1000, 24, skewed_losses(1000)
        pruner = make(target=target, match="epochs")
        sent = make_state(pruner, scorer(), n=n, epochs=epochs)
        free = make_state(make(), scorer(), n=n, epochs=sent.num_epochs)
        chosen, own = (run_all(state, lambda p: SHAPES[shape](base, p)) for state in (sent, free))
        prunable = pruner.prunable(sent.num_epochs)
        first = next((e for e in prunable if not alike(chosen[e], own[e])), prunable.stop)
        after = [1 - len(selection) / n for selection in chosen[first + 1 : prunable.stop]]
        # The last quarter is late. Before it, either no epoch after the first that differs prunes at all, for
        # the target is met; or the last quarter would not be enough, and all of them prune nearly the most.
        late = first >= prunable.stop - math.ceil(len(prunable) / 4)
        ended = pruner.for_good or all(share <= 2 / n for share in after)
        assert late or ended or (shape == "mostly hard" and all(share > 0.75 for share in after))
        assert sent.pruned_percent == pytest.approx(100 * target, abs=100 * 3 / n / epochs)

    @pytest.mark.parametrize("make", [InfoBatchPruner, partial(InfoBatchPruner, variant="quantile")])
    def test_infobatch_prunes_by_its_own_rate_or_nothing_but_for_its_last_quarter(self, make):
        # Three quarters of the losses lie below their mean, as of losses of samples mostly do; or half.
        for losses in (torch.linspace(0, 1, 1000) ** 7.6, torch.linspace(0, 1, 1000)):
            for target in (0.2, 0.5, 0.7):
                state = make_state(make(target=target, match="epochs"), n=1000, epochs=40)
                ratios = [selection.prune_ratio for selection in run_all(state, partial(always, losses))]
                assert ratios[0] == ratios[-1] == 0  # the whole first epoch, and annealing
                pruning = [ratio for ratio in ratios if ratio > 0.003]  # more than one or two samples
                late = math.ceil(len(state.pruner.prunable(state.num_epochs)) / 4)
                assert set(pruning[:-late]) == {0.5}

    @pytest.mark.parametrize("pruner", [InfoBatchPruner, SeTaPruner, RePBPruner])
    def test_a_resumed_run_chooses_the_same(self, pruner):
        def state():
            return make_state(pruner(target=0.5, match="epochs"), BatchLossScore(), n=300, epochs=20)

        whole, losses = state(), lambda p: skewed_losses(300) * (1 - p)
        chosen = run_all(whole, losses)
        for stop in range(1, whole.num_epochs):
            first, second = state(), state()
            for epoch in range(stop):
                run_epoch(first, losses(epoch / first.num_epochs), batch_size=128)
            second.load_state_dict(first.state_dict())
            rest = run_all(second, losses)
            assert all(torch.equal(a.indices, b.indices) for a, b in zip(rest, chosen[stop:], strict=True))

    def test_below_the_natural_rate_no_epoch_is_cut_and_pruning_ends_early(self):
        state = make_state(RandomPruner(target=0.33, match="epochs"), epochs=20)
        assert state.num_epochs == 20
        ratios = [selection.prune_ratio for selection in run_all(state, skewed_const)]
        assert ratios == pytest.approx([0.5] * 13 + [0.1] + [0.0] * 6)

    def test_a_run_counted_in_steps_is_sent_to_its_target_too(self):
        """It has as many steps as were asked for, so it may only end pruning early."""
        state = PruningState(
            1000, Steps(200, 50), InfoBatchPruner(target=0.2, match="epochs"), PerSampleLoss(), 0
        )
        ratios = []
        for _ in range(12):  # of 20 batches each, less a fifth, and half a batch an epoch
            selection, visits = run_epoch(state, skewed_losses(1000), batch_size=50)
            state.steps_made += len(visits.batch_sizes)
            ratios.append(selection.prune_ratio)
        assert 195 <= state.steps_made <= 200
        assert state.pruned_percent == pytest.approx(20, abs=0.1)
        assert ratios[:5] == [0, *[0.5] * 4]
        with pytest.raises(ValueError, match="it needs a run counted in epochs"):
            PruningState(1000, Steps(200, 50), RandomPruner(target=0.7, match="epochs"), PerSampleLoss(), 0)


def always(losses, p):
    return losses


def skewed_const(p):
    return skewed_losses(1000)


def alike(a, b):
    """Whether two selections are the same, in samples, order, weights and the rate that is told."""
    weights = a.weights is b.weights is None or torch.equal(a.weights, b.weights)
    return torch.equal(a.indices, b.indices) and weights and a.prune_ratio == b.prune_ratio


@pytest.mark.parametrize(
    ("pruner", "power"),
    [
        (InfoBatchPruner(), 1),
        (InfoBatchPruner(), 7.6),
        (InfoBatchPruner(prune="above"), 7.6),
        (InfoBatchPruner(variant="quantile"), 7.6),
        (RandomPruner(prune_ratio=0.2), 1),
        (SeTaPruner(), 1),
        (SeTaPruner(anneal="full"), 1),
        (RePBPruner(), 1),
        (RePBPruner(), 7.6),
        (RePBPruner(resample=False), 7.6),
    ],
)
def test_the_natural_share_is_what_happens_under_its_assumption(pruner, power):
    """SeTa takes groups of one size; half of evenly spread losses lie below their mean, of a power more."""
    losses = torch.linspace(0, 1, N) ** power
    below_mean = (losses < losses.mean()).float().mean().item()
    state = make_state(pruner, n=N, epochs=30)
    # RePB compares with those present: of them, new ones each time, the same share is below.
    spreads = (losses[torch.randperm(N, generator=torch.Generator().manual_seed(e))] for e in range(30))
    for shuffled in spreads:
        run_epoch(state, shuffled if isinstance(pruner, RePBPruner) else losses, batch_size=200)
    assert state.pruned_percent == pytest.approx(pruner.expected_percent(30, below_mean), abs=1)


@given(
    wanted=st.floats(0, 300),
    sizes=st.lists(st.integers(0, 100), min_size=1, max_size=3),
    ratios=st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.75]), min_size=3, max_size=3),
    most=st.sampled_from([0.8, 0.95]),
)
def test_spread_drops_what_is_wanted_as_far_as_it_can(wanted, sizes, ratios, most):
    ratios = ratios[: len(sizes)]
    out = spread(wanted, sizes, ratios, most)
    assert all(0 <= ratio <= most for ratio in out)
    dropped = sum(size * ratio for size, ratio in zip(sizes, out, strict=True))
    assert dropped == pytest.approx(min(wanted, most * sum(sizes)), abs=1e-6)
    free = [(a, b) for a, b, size in zip(ratios, out, sizes, strict=True) if size and a and b < most - 1e-9]
    assert all(a * d == pytest.approx(b * c, abs=1e-6) for a, b in free for c, d in free)


@given(values=st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan]), min_size=1), count=st.integers(0, 40))
def test_lowest_marks_so_many_and_none_above_one_left_out(values, count):
    values = torch.tensor(values)
    known = ~values.isnan()
    marked = lowest(values, count, torch.Generator().manual_seed(0))
    assert marked.sum() == min(count, known.sum())
    assert known[marked].all()
    if marked.any() and (known & ~marked).any():
        assert values[marked].max() <= values[known & ~marked].min()


@pytest.mark.parametrize("handler", [InfoBatch, SeTa, RePB, RandomPruning])
def test_the_library_takes_a_target(handler):
    data = list(range(300))
    for made in (handler(data, 12, target=0.5), BLS(handler(data, 12, target=0.5)).proxy()):
        run_all(made.state, lambda p: skewed_losses(300))
        assert made.pruned_percent == pytest.approx(50, abs=0.1)
    if handler is InfoBatch:
        with pytest.raises(ValueError, match="target=0.9 cannot be reached in 12 epochs"):
            handler(data, 12, target=0.9)


class TestBadInput:
    @pytest.mark.parametrize("pruner", [RandomPruner, InfoBatchPruner, SeTaPruner, RePBPruner])
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"target": 1.0}, r"target must be in \[0, 1\), got 1.0"),
            ({"target": -0.1}, r"target must be in \[0, 1\), got -0.1"),
            ({"target": math.nan}, r"target must be in \[0, 1\), got nan"),
            ({"target": 0.5, "match": "steps"}, "match must be rate or epochs, got 'steps'"),
            ({"match": "epochs"}, "match=epochs needs a target"),
        ],
    )
    def test_settings(self, pruner, settings, message):
        with pytest.raises(ValueError, match=message):
            pruner(**settings)

    @pytest.mark.parametrize(
        ("pruner", "epochs", "message"),
        [
            (
                InfoBatchPruner(target=0.8),
                10,
                "target=0.8 cannot be reached in 10 epochs: at most 0.76 can be pruned with delta=0.875, "
                "take delta=1",
            ),
            (
                InfoBatchPruner(target=0.9),
                10,
                "target=0.9 cannot be reached in 10 epochs: at most 0.76 can be pruned with delta=0.875, "
                "and 0.855 with delta=1",
            ),
            (InfoBatchPruner(target=0.6, delta=0.5), 200, "at most 0.47 can be pruned with delta=0.5, take"),
            (SeTaPruner(target=0.9, anneal="full"), 8, "at most 0.831 can be pruned with delta=0.875, take"),
            (
                InfoBatchPruner(target=0.9, anneal=False),
                10,
                "target=0.9 cannot be reached in 10 epochs: at most 0.855 can be pruned",
            ),
            (
                RandomPruner(target=0.96),
                10,
                "target=0.96 cannot be reached in 10 epochs: at most 0.95 can be",
            ),
            (RePBPruner(target=0.9), 10, "target=0.9 cannot be reached in 10 epochs: at most 0.855 can be"),
            (InfoBatchPruner(target=0.1), 1, "target=0.1 cannot be reached in 1 epochs: at most 0 can"),
            (
                InfoBatchPruner(target=0.9, match="epochs"),
                3,
                "target=0.9 cannot be reached in any number of epochs up to 3: below it, at most 0.666 can",
            ),
        ],
    )
    def test_a_target_out_of_reach(self, pruner, epochs, message):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            make_state(pruner, epochs=epochs)
        assert message in str(caught.value)
        assert "delta" in message or "delta" not in str(caught.value)

    @pytest.mark.parametrize("make", RATED)
    def test_what_is_accepted_leaves_no_epoch_empty(self, make):
        for epochs in (2, 4, 10):
            for percent in range(5, 100, 5):
                pruner = make(target=percent / 100)
                try:
                    pruner.plan(epochs)
                except ValueError:
                    continue
                state = make_state(pruner, n=100, epochs=epochs)
                assert all(map(len, run_all(state, lambda p: skewed_losses(100))))
                assert state.pruned_percent == pytest.approx(percent, abs=0.5)

    @given(
        epochs=st.integers(1, 200),
        percent=st.integers(1, 99),
        delta=st.sampled_from([0.0, 0.3, 0.875]),
        make=st.sampled_from([InfoBatchPruner, partial(SeTaPruner, anneal="full")]),
    )
    def test_the_delta_that_is_named_would_do_and_hardly_less_would(self, epochs, percent, delta, make):
        def plan(delta):
            return make(target=percent / 100, delta=delta).plan(epochs)

        try:
            assert plan(delta) == epochs
        except ValueError as error:
            told = str(error)
            _, _, named = told.partition("take delta=")
            if not named:
                helps = make(delta=1.0)._reach(epochs) > make(delta=delta)._reach(epochs)
                assert ("delta=1" in told) == helps
                with pytest.raises(ValueError, match="cannot be reached"):
                    plan(1.0)
                return
            assert plan(float(named)) == epochs
            with pytest.raises(ValueError, match="cannot be reached"):
                plan(max(float(named) - 1 / epochs - 0.001, 0.0))

    def test_full_data_has_no_target(self):
        assert not issubclass(NoPruning, RatedPruner)
        with pytest.raises(TypeError, match="target"):
            NoPruning(target=0.5)
