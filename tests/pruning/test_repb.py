import itertools
import math

import pytest
import torch

from bls_bench.pruning.pruners.repb import RePBPruner

from .helpers import make_state, run_epoch, skewed_losses

pytestmark = pytest.mark.pruning


def mask(selection, n):
    chosen = torch.zeros(n, dtype=torch.bool)
    chosen[selection.indices] = True
    return chosen


@pytest.mark.parametrize(("low", "rho"), [(0.65, 0.5), (0.4, 0.7)])
def test_steady_state_of_the_pruned_share(low, rho):
    """f * rho / (1 - rho + f * rho), 39.4% for f = 0.65 and rho = 0.5."""
    n, epochs = 4000, 120
    state = make_state(RePBPruner(prune_ratio=rho, window_pruning=False), n=n, epochs=epochs)
    generator = torch.Generator().manual_seed(0)
    shares = []
    for epoch in range(epochs):
        # Fresh ranks each epoch: of those present, a share `low` lies below the mean.
        losses = (torch.rand(n, generator=generator) > low).float()
        selection, _ = run_epoch(state, losses, batch_size=500)
        if epoch >= 20:
            shares.append(1 - len(selection) / n)
    expected = low * rho / (1 - rho + low * rho)
    assert sum(shares) / len(shares) == pytest.approx(expected, abs=5 * math.sqrt(0.25 / n / 100) + 1e-3)


@pytest.mark.parametrize("window", [1, 3])
def test_each_sample_is_judged_in_its_own_window(window):
    n, size = 330, 32
    losses = skewed_losses(n)
    state = make_state(RePBPruner(prune_ratio=0.9, window=window, resample=False), n=n)
    selection, _ = run_epoch(state, losses, size)
    safe = set()
    span = size * window
    for start in range(0, n, span):
        members = selection.indices[start : start + span].tolist()
        mean = sum(losses[i].double() for i in members) / len(members)
        safe |= {i for i in members if losses[i] >= mean}
    kept = set(state.begin_epoch().indices.tolist())
    assert safe <= kept
    lost = n - len(safe)
    assert abs(len(kept) - len(safe) - 0.1 * lost) < 5 * math.sqrt(0.09 * lost)


def test_weights_are_epochs_over_visits():
    n, losses = 500, skewed_losses(500)
    state = make_state(RePBPruner(), n=n, epochs=12)
    visits = torch.zeros(n)
    for epoch in range(12):
        selection, _ = run_epoch(state, losses)
        if epoch == 0:
            assert selection.weights is None
        else:
            torch.testing.assert_close(selection.weights, epoch / visits[selection.indices])
        visits[selection.indices] += 1
    assert (visits < 12).any()


def test_first_epoch_is_whole_and_nothing_anneals():
    losses = skewed_losses(500)
    state = make_state(RePBPruner(), n=500, epochs=8)
    kept = [len(run_epoch(state, losses)[0]) for _ in range(8)]
    assert kept[0] == 500
    assert max(kept[1:]) < 500


def test_resample_off_never_brings_a_sample_back():
    losses = skewed_losses(2000)
    state = make_state(RePBPruner(resample=False), n=2000, epochs=12)
    chosen = [mask(run_epoch(state, losses)[0], 2000) for _ in range(12)]
    for before, after in itertools.pairwise(chosen):
        assert not (after & ~before).any()
    assert chosen[-1].sum() < 0.2 * 2000  # the pool collapses, as in the paper's Table 10
    state = make_state(RePBPruner(), n=2000, epochs=12)
    chosen = [mask(run_epoch(state, losses)[0], 2000) for _ in range(12)]
    # From the first epoch, which is whole, nobody can come back.
    back = [(after & ~before).sum() / (~before).sum() for before, after in itertools.pairwise(chosen[1:])]
    assert sum(back) / len(back) == pytest.approx(0.5, abs=0.03)


def test_window_pruning_off_compares_with_the_mean_of_the_epoch():
    losses = skewed_losses(1000)
    state = make_state(RePBPruner(prune_ratio=0.9, window_pruning=False, resample=False))
    run_epoch(state, losses)
    kept = mask(state.begin_epoch(), 1000)
    assert kept[losses >= losses.mean()].all()
    assert kept[losses < losses.mean()].float().mean() < 0.2


def test_rescale_off_gives_no_weights():
    losses = skewed_losses(100)
    state = make_state(RePBPruner(rescale=False), n=100)
    assert all(run_epoch(state, losses)[0].weights is None for _ in range(5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prune_ratio": 1}, r"prune_ratio must be in \[0, 1\)"),
        ({"window": 0}, "window must be at least 1 batch"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        RePBPruner(**settings)
