import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.running_mean import RUNNING_MEAN_DECAY
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.bls_centered import BLSCentered
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.scorers.random import RandomScore
from bls_bench.pruning.scorers.residual import ResidualScore

from .helpers import make_state, run_epoch, skewed_losses

pytestmark = pytest.mark.pruning


def by_hand(scorer, n, epochs, batch_size=32):
    """Run a scorer beside a straightforward loop over batches and samples, in float64."""
    state = make_state(RandomPruner(prune_ratio=0.3), scorer, n=n, epochs=epochs)
    scores, visits, mean, first = [None] * n, [0] * n, None, None
    for epoch in range(epochs):
        losses = skewed_losses(n, seed=epoch) * (0.9**epoch)
        selection, _ = run_epoch(state, losses, batch_size)
        for batch in selection.batches(batch_size):
            indices = batch.indices.tolist()
            loss = float(losses[batch.indices].mean())
            mean = loss if mean is None else mean
            first = loss if first is None else first
            centred = loss - mean
            expected = sum(scores[i] or 0 for i in indices) / len(indices)
            for i in indices:
                old = scores[i]
                if isinstance(scorer, BLSCentered):
                    scores[i] = scorer.alpha * (old or 0) + (1 - scorer.alpha) * centred
                elif isinstance(scorer, ResidualScore):
                    scores[i] = (old or 0) + scorer.eta * (centred - expected)
                else:
                    if old is None:
                        old = first if scorer.init == "first_batch" else 0
                    scores[i] = scorer.alpha * old + (1 - scorer.alpha) * loss
                visits[i] += 1
            mean += (1 - RUNNING_MEAN_DECAY) * (loss - mean)
    if getattr(scorer, "init", None) == "bias_corrected":
        scores = [s and s / (1 - scorer.alpha**k) for s, k in zip(scores, visits, strict=True)]
    return state.scores, scores


@pytest.mark.parametrize(
    "scorer",
    [
        BatchLossScore(alpha=0.7),
        BatchLossScore(alpha=0.0),
        BatchLossScore(alpha=0.9, init="zero"),
        BatchLossScore(alpha=0.7, init="bias_corrected"),
        BLSCentered(alpha=0.7),
        ResidualScore(),
        ResidualScore(eta=0.3),
    ],
    ids=str,
)
def test_against_a_straightforward_loop(scorer):
    ours, expected = by_hand(scorer, n=300, epochs=6)
    for mine, plain in zip(ours.tolist(), expected, strict=True):
        if plain is not None:
            assert mine == pytest.approx(plain, rel=1e-4, abs=1e-6)


@given(alpha=st.floats(0, 1), loss=st.floats(0.01, 10), epochs=st.integers(1, 8))
def test_closed_form_for_constant_losses(alpha, loss, epochs):
    """After k visits with loss L: L from first_batch, L * (1 - alpha^k) from zero, L when corrected."""
    losses = torch.full((10,), loss)
    expected = {
        "first_batch": loss,
        "zero": loss * (1 - alpha**epochs),
        "bias_corrected": loss if alpha < 1 else 0,
    }
    for init, value in expected.items():
        state = make_state(NoPruning(), BatchLossScore(alpha=alpha, init=init), n=10)
        for _ in range(epochs):
            run_epoch(state, losses, batch_size=4)
        # 1 - alpha^k loses digits near alpha = 1, in float64 before the result is kept in float32.
        torch.testing.assert_close(state.scores, torch.full((10,), value), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("alpha", "batch_size"), [(0.7, 128), (0.9, 128), (0.7, 16), (0.0, 16)])
def test_predicted_correlation_with_static_losses(alpha, batch_size):
    """corr(score, loss) = 1 / sqrt(1 + (B - 1)(1 - alpha) / (1 + alpha)) for static independent losses."""
    n = 128 * 150
    losses = torch.randn(n, generator=torch.Generator().manual_seed(0))
    state = make_state(NoPruning(), BatchLossScore(alpha=alpha), n=n, epochs=80)
    for _ in range(80):
        run_epoch(state, losses, batch_size)
    found = torch.corrcoef(torch.stack([state.scores, losses]))[0, 1]
    expected = 1 / math.sqrt(1 + (batch_size - 1) * (1 - alpha) / (1 + alpha))
    assert abs(found - expected) < 5 * (1 - expected**2) / math.sqrt(n)


def test_the_random_scorer_knows_nothing():
    n = 20_000
    losses = skewed_losses(n)
    state = make_state(NoPruning(), RandomScore(), n=n)
    previous = None
    for _ in range(3):
        run_epoch(state, losses)
        scores = state.scores.clone()
        assert abs(spearmanr(scores, losses).statistic) < 5 / math.sqrt(n)
        assert scores.min() >= 0
        assert scores.max() < 1
        if previous is not None:
            assert abs(spearmanr(scores, previous).statistic) < 5 / math.sqrt(n)
        previous = scores


def test_centring_removes_the_fall_of_the_loss():
    """Equal samples, a falling loss, some long absent: BLS ranks by absence, the centred one far less."""
    n = 2000
    found = {}
    for scorer in (BatchLossScore(), BLSCentered()):
        state = make_state(RandomPruner(prune_ratio=0.7), scorer, n=n, epochs=20)
        seen = torch.zeros(n)
        for epoch in range(20):
            selection, _ = run_epoch(
                state, torch.full((n,), 2.0 * 0.9**epoch) + skewed_losses(n, epoch) / 100
            )
            seen[selection.indices] = epoch
        found[type(scorer)] = abs(spearmanr(state.scores, seen).statistic)
    assert found[BatchLossScore] > 0.4
    assert found[BLSCentered] < 0.5 * found[BatchLossScore]


def test_per_sample_scores_are_the_last_losses():
    losses = skewed_losses(500)
    state = make_state(RandomPruner(), n=500)
    expected = torch.full((500,), torch.nan)
    for factor in (1.0, 0.5, 0.25):
        selection, _ = run_epoch(state, losses * factor)
        expected[selection.indices] = losses[selection.indices] * factor
    assert torch.equal(state.scores.nan_to_num(-1), expected.nan_to_num(-1))


def test_a_vector_counts_as_its_mean_for_a_batch_scorer():
    losses = skewed_losses(200)
    scores = []
    for reduce in (False, True):
        state = make_state(NoPruning(), BatchLossScore(), n=200)
        for batch in state.begin_epoch().batches(32):
            own = losses[batch.indices]
            state.record(batch.indices, own.mean() if reduce else own)
        state.end_epoch()
        scores.append(state.scores)
    torch.testing.assert_close(scores[0], scores[1])


@pytest.mark.parametrize(
    ("scorer", "settings", "message"),
    [
        (BatchLossScore, {"alpha": 1.2}, r"alpha must be in \[0, 1\]"),
        (BatchLossScore, {"alpha": -0.2}, r"alpha must be in \[0, 1\]"),
        (BatchLossScore, {"init": "ones"}, "init must be first_batch, zero or bias_corrected"),
        (BLSCentered, {"alpha": 2}, r"alpha must be in \[0, 1\]"),
        (ResidualScore, {"eta": 0}, "eta must be above 0"),
    ],
)
def test_bad_settings(scorer, settings, message):
    with pytest.raises(ValueError, match=message):
        scorer(**settings)


def test_only_the_per_sample_scorer_needs_per_sample_losses():
    assert PerSampleLoss.per_sample
    for scorer in (BatchLossScore, RandomScore, BLSCentered, ResidualScore):
        assert not scorer.per_sample
