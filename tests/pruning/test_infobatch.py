import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bls_bench.pruning.pruners.infobatch import InfoBatchPruner, quantile
from bls_bench.pruning.scorers.bls import BatchLossScore

from .helpers import make_state, run_epoch, skewed_losses

pytestmark = pytest.mark.pruning


def selections(pruner, losses, epochs=200, count=40, **kwargs):
    """Selections after the first epoch, on losses that never change."""
    state = make_state(pruner, n=len(losses), epochs=epochs, **kwargs)
    run_epoch(state, losses)
    return [run_epoch(state, losses)[0] for _ in range(count)]


def weighted_mean(selection, losses):
    return float((selection.weights * losses[selection.indices]).sum() / len(losses))


@pytest.mark.parametrize("variant", ["mean", "quantile"])
@pytest.mark.parametrize("exact_count", [False, True])
def test_weighted_loss_is_unbiased(variant, exact_count):
    losses, count = skewed_losses(2000), 400
    pruner = InfoBatchPruner(variant=variant, exact_count=exact_count)
    means = torch.tensor([weighted_mean(s, losses) for s in selections(pruner, losses, 1000, count)]).double()
    error = abs(means.mean() - losses.double().mean())
    assert error < 5 * means.std() / math.sqrt(count)
    # The bound is tight enough to tell: without weights the loss is far outside it.
    plain = selections(
        InfoBatchPruner(variant=variant, exact_count=exact_count, rescale=False), losses, 1000, 1
    )[0]
    assert plain.weights is None
    assert abs(losses[plain.indices].mean() - losses.mean()) > 10 * 5 * means.std() / math.sqrt(count)


@pytest.mark.parametrize(("ratio", "candidates"), [(0.5, 1), (0.75, 1), (0.75, 2), (0.75, 3), (0.95, 12)])
def test_of_few_candidates_one_stays_and_stands_for_all(ratio, candidates):
    """int((1 - r) * n) is 0 here, and nothing can be weighted for what is left out whole."""
    losses = torch.tensor([0.5] * candidates + [9.0] * (candidates + 2))
    pruner = InfoBatchPruner(prune_ratio=ratio, exact_count=True)
    drawn = selections(pruner, losses)
    for selection in drawn:
        low = selection.indices < candidates
        assert low.count_nonzero() == 1
        assert len(selection) == candidates + 3
        assert selection.weights[low].item() == pytest.approx(candidates)
        assert (selection.weights[~low] == 1).all()
    assert candidates == 1 or len({int(selection.indices.min()) for selection in drawn}) > 1
    # Without weights there is nothing to divide: as before, all of them go.
    for selection in selections(InfoBatchPruner(prune_ratio=ratio, exact_count=True, rescale=False), losses):
        assert len(selection) == candidates + 2


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_kept_share_of_the_mean_variant(ratio):
    losses = skewed_losses(4000)
    low = (losses < losses.mean()).double().mean().item()
    kept = [len(s) / 4000 for s in selections(InfoBatchPruner(prune_ratio=ratio), losses)]
    sd = math.sqrt(ratio * (1 - ratio) * low / 4000 / len(kept))
    assert abs(sum(kept) / len(kept) - (1 - ratio * low)) < 5 * sd
    exact = selections(InfoBatchPruner(prune_ratio=ratio, exact_count=True), losses, count=3)
    assert {len(s) for s in exact} == {4000 - int(ratio * round(low * 4000) + 1e-9)}


def test_quantile_variant_reproduces_the_published_constant():
    """(0.75 * 0.20 + 0.5 * 0.65) * 174 / 200 = 41.3% (the paper).

    Over 90 epochs those with 0 < e < 0.875 * 90 = 78.75 prune, 78 of them: 41.2%. (An implementation
    that rounds delta * E down to 78 prunes in 77 and has 40.6%.)
    """
    for epochs, expected in ((200, 100 * 0.475 * 174 / 200), (90, 100 * 0.475 * 78 / 90)):
        losses = skewed_losses(1000)
        state = make_state(InfoBatchPruner(variant="quantile", exact_count=True), n=1000, epochs=epochs)
        for _ in range(epochs):
            run_epoch(state, losses, batch_size=500)
        assert state.pruned_percent == pytest.approx(expected, abs=0.01)


def test_candidates_below_above_and_random():
    losses = skewed_losses(3000)
    below = losses < losses.mean()
    for prune, at_risk in (("below", below), ("above", ~below)):
        for selection in selections(InfoBatchPruner(prune=prune), losses, count=5):
            kept = torch.zeros(3000, dtype=torch.bool)
            kept[selection.indices] = True
            assert kept[~at_risk].all()
            assert 0 < kept[at_risk].sum() < at_risk.sum()
            assert set(selection.weights[at_risk[selection.indices]].tolist()) == {2.0}
            assert set(selection.weights[~at_risk[selection.indices]].tolist()) == {1.0}
    lost = torch.zeros(3000)
    for selection in selections(InfoBatchPruner(prune="random"), losses, epochs=1000, count=200):
        lost += 1
        lost[selection.indices] -= 1
    share = lost / 200
    # Random candidates: the easy and the hard are lost alike, and as many as `below` loses.
    assert abs(share[below].mean() - share[~below].mean()) < 0.02
    assert share.mean().item() == pytest.approx(0.5 * below.float().mean().item(), abs=0.01)


@pytest.mark.parametrize("epochs", [1, 7, 10, 30, 90, 100, 200, 300])
def test_every_annealing_epoch_is_whole_with_weight_one(epochs):
    losses = skewed_losses(64)
    state = make_state(InfoBatchPruner(), n=64, epochs=epochs)
    for epoch in range(epochs):
        selection, _ = run_epoch(state, losses)
        if epoch >= 0.875 * epochs:
            assert len(selection) == 64
            assert selection.weights is None or bool((selection.weights == 1).all())
        elif epoch > 0:
            assert (selection.weights > 1).any()


def test_anneal_off_prunes_to_the_end():
    losses = skewed_losses(500)
    state = make_state(InfoBatchPruner(anneal=False), n=500, epochs=8)
    kept = [len(run_epoch(state, losses)[0]) for _ in range(8)]
    assert kept[0] == 500
    assert max(kept[1:]) < 500


@given(tenths=st.integers(0, 10), epochs=st.integers(1, 40))
def test_annealing_starts_at_the_exact_epoch(tenths, epochs):
    """delta * E in exact arithmetic: 0.7 * 10 must be 7, whatever floating point makes of it."""
    state = make_state(InfoBatchPruner(delta=tenths / 10), n=64, epochs=epochs)
    losses = skewed_losses(64)
    pruned = [len(run_epoch(state, losses)[0]) < 64 for _ in range(epochs)]
    assert pruned == [epoch > 0 and 10 * epoch < tenths * epochs for epoch in range(epochs)]


@pytest.mark.parametrize("prune", ["below", "above", "random"])
def test_samples_without_a_score_are_never_candidates(prune):
    # Batches of 30 out of 1000 with drop_last: ten samples stay unseen in the first epoch.
    losses = skewed_losses(1000)
    state = make_state(InfoBatchPruner(prune_ratio=0.9, prune=prune))
    run_epoch(state, losses, batch_size=30, drop_last=True)
    unseen = state.scores.isnan().nonzero().squeeze(1)
    assert len(unseen) == 10
    assert torch.isin(unseen, state.begin_epoch().indices).all()


@pytest.mark.parametrize("init", ["first_batch", "zero", "bias_corrected"])
def test_alpha_one_prunes_nothing(init):
    # The mean of equal scores must be that very score, or rounding would prune.
    losses = skewed_losses(999)
    state = make_state(InfoBatchPruner(), BatchLossScore(alpha=1, init=init), n=999)
    for _ in range(5):
        assert len(run_epoch(state, losses)[0]) == 999


@given(fraction=st.sampled_from([0, 0.1, 0.2, 0.5, 0.85, 1]), n=st.integers(1, 60))
def test_quantile_leaves_the_right_number_below(fraction, n):
    scores = torch.randperm(n, generator=torch.Generator().manual_seed(n)).float()
    scores = torch.cat([scores, torch.full((3,), torch.nan)])
    assert int((scores < quantile(scores, fraction)).sum()) == int(fraction * n + 1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prune_ratio": 1.0}, r"prune_ratio must be in \[0, 1\)"),
        ({"prune_ratio": -0.1}, r"prune_ratio must be in \[0, 1\)"),
        ({"low_ratio": 1.0}, r"low_ratio must be in \[0, 1\)"),
        ({"delta": 1.1}, r"delta must be in \[0, 1\]"),
        ({"delta": float("nan")}, r"delta must be in \[0, 1\]"),
        ({"low_quantile": 0.9}, "low_quantile must be at most high_quantile"),
        ({"variant": "median"}, "variant must be mean or quantile"),
        ({"prune": "left"}, "prune must be below, above or random"),
        ({"variant": "quantile", "prune": "above"}, "prune must be below with variant=quantile"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        InfoBatchPruner(**settings)
