"""A score of losses that were drawn at random times."""

from itertools import pairwise

import pytest
import torch
from scipy.stats import spearmanr

from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.scorers.time_corrected import TimeCorrectedLoss, less_time

from .helpers import make_state

pytestmark = pytest.mark.pruning


def run(state, hardness, epoch):
    """An epoch whose losses are a factor of the sample, times one that falls with the random time."""
    times = torch.rand(len(hardness), generator=torch.Generator().manual_seed(epoch)) * 1000
    losses = hardness * (20 * (1 - times / 1000) ** 3 + 0.1)
    selection = state.begin_epoch()
    for batch in selection.batches(50):
        state.record(batch.indices, losses[batch.indices], times[batch.indices])
    visits = state.end_epoch()
    return visits, losses, times


def test_a_score_is_an_average_of_losses_over_the_mean_of_their_time():
    scorer = TimeCorrectedLoss(alpha=0.6, bins=7)
    state = make_state(RandomPruner(prune_ratio=0.3), scorer, n=200, epochs=4)
    hardness = torch.rand(200, generator=torch.Generator().manual_seed(9)) + 0.5
    expected = [None] * 200
    for epoch in range(4):
        visits, _, _ = run(state, hardness, epoch)
        order = sorted(range(len(visits.indices)), key=lambda k: float(visits.signals[k]))
        size, more = divmod(len(order), 7)
        starts = [number * size + min(number, more) for number in range(8)]
        for start, end in pairwise(starts):
            mean = sum(float(visits.losses[k]) for k in order[start:end]) / (end - start)
            for k in order[start:end]:
                i, new = int(visits.indices[k]), float(visits.losses[k]) / mean
                expected[i] = new if expected[i] is None else 0.6 * expected[i] + 0.4 * new
    for found, wanted in zip(state.scores.tolist(), expected, strict=True):
        if wanted is not None:
            assert found == pytest.approx(wanted, rel=1e-4)


def test_it_finds_the_hard_samples_where_the_loss_itself_finds_the_time():
    state = make_state(RandomPruner(prune_ratio=0.0), TimeCorrectedLoss(), n=1000, epochs=8)
    hardness = torch.rand(1000, generator=torch.Generator().manual_seed(9)) + 0.5
    for epoch in range(8):
        _, losses, times = run(state, hardness, epoch)
    assert spearmanr(state.scores, hardness).statistic > 0.9
    assert abs(spearmanr(losses, hardness).statistic) < 0.3
    assert abs(spearmanr(state.scores, times).statistic) < 0.15


def test_losses_of_zero_are_nothing_special():
    assert less_time(torch.zeros(5), torch.arange(5.0), 2).tolist() == [1.0] * 5


def test_wrong_values_are_refused():
    with pytest.raises(ValueError, match="bins must be at least 1"):
        TimeCorrectedLoss(bins=0)
