"""The Kalman filter that knows the classes: against a joint slow filter, and what it finds out."""

import math

import pytest
import torch

from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.running_mean import RUNNING_MEAN_DECAY
from bls_bench.pruning.scorers.kalman import KalmanScore
from bls_bench.pruning.scorers.kalman_classes import KalmanClassesScore

from .helpers import make_state, skewed_losses

pytestmark = pytest.mark.pruning

N, CLASSES = 300, 4


def classes_of(n, seed=0):
    """A long tail of classes, in random order."""
    shares = torch.tensor([0.6, 0.25, 0.1, 0.05])
    return torch.multinomial(shares, n, replacement=True, generator=torch.Generator().manual_seed(seed))


def run_epoch(state, losses, classes, batch_size=32):
    selection = state.begin_epoch()
    for batch in selection.batches(batch_size):
        signal = None if state.scorer.signal is None else classes[batch.indices].float()
        state.record(batch.indices, losses[batch.indices].mean(), signal)
    state.end_epoch()
    return selection


def test_against_a_slow_filter():
    """One batch after the other for the classes, as a Kalman filter; sample by sample for the rest."""
    scorer = KalmanClassesScore(memory=20, noise=0.2, class_variance=0.3)
    epochs, classes = 5, classes_of(N)
    state = make_state(RandomPruner(prune_ratio=0.3), scorer, n=N, epochs=epochs)
    rho, scores, variances, level = math.exp(-1 / 20), [0.0] * N, [1.0] * N, None
    means = torch.zeros(CLASSES, dtype=torch.float64)
    covariance = 0.3 * torch.eye(CLASSES, dtype=torch.float64)
    for epoch in range(epochs):
        losses = skewed_losses(N, seed=epoch) + classes * 0.5
        batches = [batch.indices.tolist() for batch in run_epoch(state, losses, classes).batches(32)]
        scores = [rho * s for s in scores]
        variances = [rho**2 * p + 1 - rho**2 for p in variances]
        means = rho * means
        covariance = rho**2 * covariance + (1 - rho**2) * 0.3 * torch.eye(CLASSES, dtype=torch.float64)
        found = []
        for own in batches:
            shares = torch.bincount(classes[own], minlength=CLASSES).double() / len(own)
            foretold = sum(scores[i] for i in own) / len(own) + float(shares @ means)
            left = float(losses[own].mean()) - foretold
            level = left if level is None else level
            found.append((own, shares, left - level))
            level += (1 - RUNNING_MEAN_DECAY) * (left - level)
        before = means.clone()
        for own, shares, residual in found:
            noise = (sum(variances[i] for i in own) / len(own) + 0.2) / len(own)
            gain = covariance @ shares / (shares @ covariance @ shares + noise)
            means = means + gain * (residual - float(shares @ (means - before)))
            covariance = covariance - torch.outer(gain, shares @ covariance)
        for own, shares, residual in found:
            residual -= float(shares @ (means - before))
            total = sum(variances[i] for i in own) / len(own) + 0.2
            for i in own:
                scores[i] += variances[i] / total * residual
                variances[i] -= variances[i] ** 2 / (len(own) * total)
    # All classes were met in the first epoch, so all samples' own are known but for those never drawn.
    expected = torch.tensor(scores).double()
    visited = state.counts > 0
    expected[visited] += means[classes[visited]]
    torch.testing.assert_close(state.scores.double(), expected, rtol=1e-3, atol=1e-5)


def correlation(scorer, spread):
    """Of scores with losses that differ by `spread` between classes, after 20 epochs of B 64."""
    n = 3200
    classes = classes_of(n)
    losses = torch.randn(n, generator=torch.Generator().manual_seed(1)) + spread * classes
    state = make_state(NoPruning(), scorer, n=n, epochs=20)
    for _ in range(20):
        run_epoch(state, losses, classes, batch_size=64)
    return float(torch.corrcoef(torch.stack([state.scores, losses]))[0, 1])


def test_it_finds_far_more_where_classes_differ_and_no_less_where_they_do_not():
    assert correlation(KalmanClassesScore(), spread=1.0) > correlation(KalmanScore(), spread=1.0) + 0.15
    assert correlation(KalmanClassesScore(), spread=0.0) > correlation(KalmanScore(), spread=0.0) - 0.03


def test_with_hardly_any_class_variance_it_is_the_plain_filter():
    losses, classes = skewed_losses(N), classes_of(N)
    one = make_state(NoPruning(), KalmanScore(), n=N, epochs=4)
    other = make_state(NoPruning(), KalmanClassesScore(class_variance=1e-9), n=N, epochs=4)
    for _ in range(4):
        run_epoch(one, losses, classes)
        run_epoch(other, losses, classes)
    torch.testing.assert_close(one.scores, other.scores, rtol=1e-3, atol=1e-4)


def test_a_class_that_comes_late_gets_a_mean_of_its_own():
    classes = (torch.arange(64) >= 32).long()
    state = make_state(NoPruning(), KalmanClassesScore(class_variance=1.0), n=64, epochs=3)
    losses = 1.0 + 5.0 * classes
    for first in (torch.arange(32), torch.arange(64)):
        state.begin_epoch()
        for batch in first.split(8):
            state.record(batch, losses[batch].mean(), classes[batch].float())
        state.end_epoch()
    assert state.scores[classes == 1].min() > state.scores[classes == 0].max() + 1


@pytest.mark.parametrize("name", ["means", "covariance", "within"])
def test_a_state_of_another_shape_is_not_taken_back(name):
    state = make_state(NoPruning(), KalmanClassesScore(), n=N, epochs=2)
    run_epoch(state, skewed_losses(N), classes_of(N))
    scorer = state.scorer
    saved = scorer.state_dict()
    assert scorer.fits(saved, N)
    assert not scorer.fits(saved | {name: saved[name][:-1]}, N)
    assert not scorer.fits(saved, N + 1)


def test_bad_settings():
    with pytest.raises(ValueError, match="class_variance must be above 0, got 0"):
        KalmanClassesScore(class_variance=0)
