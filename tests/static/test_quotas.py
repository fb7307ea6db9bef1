"""CCS and MetriQ, which keep so many of each group: their quotas, and that they draw by them."""

from dataclasses import replace

import pytest
import torch

from bls_bench.static.methods.static_ccs import CCS, ranges, shared
from bls_bench.static.methods.static_metriq import MetriQ, quotas
from bls_bench.static.quotas import drawn

from .helpers import chosen, generator, observations

pytestmark = pytest.mark.pruning
TARGETS = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9]


def plain_budgets(sizes, total):
    """Algorithm 1 of CCS, set by set."""
    left, budgets = dict(enumerate(sizes)), {}
    while left:
        smallest = min(left, key=left.get)
        budgets[smallest] = min(left[smallest], total // len(left))
        total -= budgets[smallest]
        del left[smallest]
    return [budgets[i] for i in range(len(sizes))]


def plain_densities(sizes, recalls, density):
    """Algorithm 1 of DRoP: hand the excess on until nobody is above 1."""
    unsaturated, excess = set(range(len(sizes))), density * sum(sizes)
    found = [0.0] * len(sizes)
    while excess > 1e-9:
        norm = sum(sizes[k] * (1 - recalls[k]) for k in unsaturated) / excess
        for k in sorted(unsaturated):
            step = (1 - recalls[k]) / norm
            found[k] += step
            excess -= sizes[k] * step
            if found[k] > 1:
                unsaturated.discard(k)
                excess += sizes[k] * (found[k] - 1)
                found[k] = 1.0
    return found


@pytest.mark.parametrize("seed", range(20))
def test_budgets_of_strata_against_the_papers_loop(seed):
    draw = generator(seed)
    sizes = torch.randint(0, 40, (12,), generator=draw)
    for total in (0, 1, 11, int(sizes.sum()) // 2, int(sizes.sum())):
        budgets = shared(sizes, total)
        # The smallest of several of one size is the first for both.
        assert budgets.tolist() == plain_budgets(sizes.tolist(), total)
        assert int(budgets.sum()) == total
        assert (budgets <= sizes).all()
        short = budgets < sizes
        if short.any():  # what is not exhausted is cut at one height
            assert budgets[short].max() - budgets[short].min() <= 1
            assert budgets[~short].numel() == 0 or budgets[~short].max() <= budgets[short].max()


def test_strata_are_of_one_width():
    scores = torch.rand(500, generator=generator()) * 3 - 1
    low, width = float(scores.min()), float(scores.max() - scores.min()) / 7
    found = ranges(scores, 7)
    for score, stratum in zip(scores.tolist(), found.tolist(), strict=True):
        assert low + stratum * width - 1e-5 <= score <= low + (stratum + 1) * width + 1e-5
    assert found.unique().tolist() == list(range(7))
    assert ranges(torch.full((4,), 0.3), 7).tolist() == [0] * 4
    assert ranges(torch.tensor([0.0, 1e-45]), 7).tolist() == [0, 6]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("beta", [0.0, 0.1, 0.3])
def test_ccs_leaves_out_the_hardest_and_keeps_the_budget_of_each_stratum(target, beta):
    observed = observations(n=211)
    if beta > target:
        with pytest.raises(ValueError, match=f"beta={beta:g} must be at most target={target:g}"):
            CCS(target=target, beta=beta)
        return
    kept = chosen(CCS(target=target, beta=beta, strata=9, allow_empty_class=True), observed)
    count = int((1 - target) * 211 + 0.5)
    assert len(kept) == len(set(kept.tolist())) == count
    margins = observed.history.mean(0)
    left = margins.argsort()[int(beta * 211) :]
    assert set(kept.tolist()) <= set(left.tolist())
    strata = ranges(margins[left], 9)
    held = torch.isin(left, kept)
    assert strata[held].bincount(minlength=9).tolist() == plain_budgets(
        strata.bincount(minlength=9).tolist(), count
    )


def test_ccs_covers_what_is_rare():
    """Of 990 easy samples and 10 of a middling margin it keeps all ten, and no one of the ten hardest."""
    margins = torch.cat([torch.full((990,), 0.9), torch.full((10,), 0.3), torch.full((10,), -0.9)])
    many = observations(n=1010)
    kept = chosen(CCS(target=0.9, beta=10 / 1010), replace(many, history=margins[None]))
    assert set(range(990, 1000)) <= set(kept.tolist())
    assert kept.max() < 1000


@pytest.mark.parametrize("seed", range(20))
def test_quotas_of_classes_against_the_papers_loop(seed):
    draw = generator(seed)
    sizes = torch.randint(1, 60, (8,), generator=draw).tolist()
    recalls = (torch.rand(8, generator=draw) * 0.98 + 0.01).tolist()
    for density in (0.05, 0.3, 0.7, 1.0):
        total = round(density * sum(sizes))
        found = quotas(sizes, [1 - recall for recall in recalls], total).tolist()
        exact = plain_densities(sizes, recalls, total / sum(sizes))
        assert sum(found) == total
        for size, quota, share in zip(sizes, found, exact, strict=True):
            assert abs(quota - size * share) < 1
            assert 0 <= quota <= size


@pytest.mark.parametrize("target", TARGETS)
def test_metriq_keeps_more_of_a_class_that_is_learned_worse(target):
    observed = observations(n=4000)
    right = torch.nn.functional.one_hot(observed.targets, 4) * 9.0
    # Of class k a share of 0.1 * (k + 1) is taken for the next class.
    wrong = torch.rand(4000, generator=generator()) < 0.1 * (observed.targets + 1)
    right[wrong] = right[wrong].roll(1, 1)
    kept = chosen(MetriQ(target=target), replace(observed, logits=right))
    assert len(kept) == len(set(kept.tolist())) == int((1 - target) * 4000 + 0.5)
    shares = observed.targets[kept].bincount(minlength=4) / observed.targets.bincount(minlength=4)
    for k in range(3):
        assert shares[k + 1] > shares[k] or shares[k + 1] == 1
    if target == 0.7:  # none is whole
        errors = torch.tensor([0.1, 0.2, 0.3, 0.4])
        torch.testing.assert_close(shares / shares.sum(), errors / errors.sum(), atol=0.05, rtol=0)


def test_metriq_leaves_no_class_without_a_sample_for_being_learned_by_heart():
    observed = observations(n=400)
    by_heart = torch.nn.functional.one_hot(observed.targets, 4) * 9.0
    by_heart[(observed.targets == 3).nonzero()[:20]] = 0.0  # class 0 instead
    kept = chosen(MetriQ(target=0.7), replace(observed, logits=by_heart))
    assert (observed.targets[kept].bincount(minlength=4) > 0).all()


@pytest.mark.parametrize("method", [CCS, MetriQ])
def test_the_seed_says_which_of_a_group_are_kept(method):
    observed = observations(n=300)
    first, again, other = (set(chosen(method(), observed, seed).tolist()) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("method", [CCS, MetriQ])
@pytest.mark.parametrize("balanced", [False, True])
def test_few_samples_and_few_classes(method, balanced):
    for n in (1, 2, 3):
        observed = observations(n=n, classes=2)
        kept = chosen(method(balanced=balanced, allow_empty_class=True), observed)
        assert len(kept) == int(n / 2 + 0.5)
    one = observations(n=9).at(torch.zeros(9, dtype=torch.int64))
    assert len(chosen(method(target=0.3, balanced=balanced), one)) == 6


@pytest.mark.parametrize("method", [CCS, MetriQ])
def test_a_class_that_would_be_lost_is_refused(method):
    with pytest.raises(ValueError, match=rf"{method.__name__} leaves class . without a single sample"):
        chosen(method(target=0.97), observations())


def test_a_draw_by_quotas_gives_each_of_a_group_the_same_chance():
    groups, sizes = torch.tensor([2, 0, 2, 1, 2, 0, 2]), torch.tensor([1, 0, 3])
    hits = torch.zeros(7)
    for seed in range(2000):
        kept = drawn(groups, sizes, generator(seed))
        assert groups[kept].bincount(minlength=3).tolist() == sizes.tolist()
        hits[kept] += 1
    chances = torch.tensor([0.75, 0.5, 0.75, 0, 0.75, 0.5, 0.75])
    torch.testing.assert_close(hits / 2000, chances, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 1.0}, r"beta must be in \[0, 1\), got 1.0"),
        ({"beta": 0.6}, "beta=0.6 must be at most target=0.5, for the hardest are among those left out"),
        ({"strata": 0}, "strata must be at least 1, got 0"),
    ],
)
def test_bad_settings_of_ccs(settings, message):
    with pytest.raises(ValueError, match=message):
        CCS(**settings)
