"""The controls: scores that know the time, or the classes, alone; and random pruning by rounds."""

import pytest
import torch

from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.pruners.rs2 import RS2Pruner
from bls_bench.pruning.scorers.random import RandomScore
from bls_bench.pruning.scorers.random_per_sample import RandomPerSampleScore
from bls_bench.pruning.scorers.rarity import RarityScore
from bls_bench.pruning.scorers.stale import StaleScore

from .helpers import make_state, run_epoch, skewed_losses

pytestmark = pytest.mark.pruning


def test_stale_is_the_epochs_since_the_last_training():
    state = make_state(RandomPruner(prune_ratio=0.6), StaleScore(), n=50)
    last = torch.full((50,), torch.nan)
    for epoch in range(6):
        selection, _ = run_epoch(state, skewed_losses(50, epoch))
        last[selection.indices] = epoch
        assert torch.equal(state.scores.nan_to_num(-1), (epoch + 1 - last).nan_to_num(-1))


def test_rarity_is_the_inverse_size_of_the_class():
    targets = torch.tensor([0] * 30 + [1] * 15 + [3] * 5)
    state = make_state(NoPruning(), RarityScore(), n=50)
    for batch in state.begin_epoch().batches(8):
        state.record(batch.indices, torch.ones(len(batch.indices)), targets[batch.indices].float())
    state.end_epoch()
    expected = torch.tensor([50 / 90] * 30 + [50 / 45] * 15 + [50 / 15] * 5)
    torch.testing.assert_close(state.scores, expected)
    assert state.scores.mean() == pytest.approx(1)


def test_both_random_scorers_draw_the_same_scores():
    scores = []
    for scorer in (RandomScore(), RandomPerSampleScore()):
        state = make_state(NoPruning(), scorer, n=60)
        run_epoch(state, skewed_losses(60))
        scores.append(state.scores)
    assert torch.equal(*scores)
    assert RandomPerSampleScore.per_sample


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.77])
def test_rs2_trains_on_all_samples_equally_often(ratio):
    """After any epoch, but for one time; and nobody twice in an epoch."""
    state = make_state(RS2Pruner(prune_ratio=ratio), RandomScore(), n=101, epochs=12)
    for _ in range(12):
        selection, _ = run_epoch(state, skewed_losses(101), batch_size=16)
        assert len(selection) == int((1 - ratio) * 101 + 1e-9) == len(selection.indices.unique())
        assert state.counts.max() - state.counts.min() <= 1


def test_rs2_draws_another_order_each_round():
    state = make_state(RS2Pruner(prune_ratio=0.5), RandomScore(), n=200)
    halves = [run_epoch(state, skewed_losses(200))[0].indices.sort().values for _ in range(4)]
    assert not torch.equal(halves[0], halves[2])
    assert torch.cat(halves[:2]).sort().values.tolist() == list(range(200))
