"""Samples that are trained on and give no loss: they count as used, and are not pruned for it."""

import pytest
import torch

from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.repb_importance import RePBImportancePruner
from bls_bench.pruning.pruners.rs2 import RS2Pruner
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.state import PruningState

from .helpers import skewed_losses

pytestmark = pytest.mark.pruning
N, EPOCHS = 200, 8
REPB = [RePBPruner, RePBImportancePruner]


def state_of(pruner, epochs=EPOCHS):
    return PruningState(N, epochs, pruner, PerSampleLoss(), 0, partial=True)


def record(state, batch, sure):
    """Give the losses of the samples of a batch that are `sure`, (N,) bool; the others are trained on too."""
    counted = sure[batch]
    if counted.any():
        state.record(batch[counted], skewed_losses(N)[batch[counted]])
    state.record_silent(batch[~counted])


def an_epoch(state, sure):
    selection = state.begin_epoch()
    for batch in selection.indices.split(32):
        record(state, batch, sure)
    state.end_epoch()
    return selection


def who(epoch, share=0.4):
    return torch.rand(N, generator=torch.Generator().manual_seed(epoch)) < share


@pytest.mark.parametrize("pruner", REPB)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_rho_of_0_prunes_nothing_and_weighs_all_alike(pruner, share):
    state = state_of(pruner(prune_ratio=0.0))
    for epoch in range(EPOCHS):
        selection = an_epoch(state, who(epoch, share))
        assert len(selection) == N
        assert selection.weights is None or bool((selection.weights == 1).all())


@pytest.mark.parametrize("pruner", REPB)
@pytest.mark.parametrize("settings", [{}, {"resample": False}])
def test_who_gave_no_loss_stays(pruner, settings):
    state = state_of(pruner(prune_ratio=0.9, **settings))
    before = torch.zeros(N, dtype=torch.bool)
    for epoch in range(EPOCHS):
        sure = who(epoch)
        selection = an_epoch(state, sure)
        assert set(before.nonzero()[:, 0].tolist()) <= set(selection.indices.tolist())
        before = torch.zeros(N, dtype=torch.bool)
        before[selection.indices] = True
        before &= ~sure


@pytest.mark.parametrize("pruner", REPB)
def test_a_target_is_met_beside_them(pruner):
    state = state_of(pruner(target=0.3), epochs=20)
    for epoch in range(20):
        an_epoch(state, who(epoch, 0.9))
    assert state.pruned_percent == pytest.approx(30, abs=0.5)


def test_weights_are_epochs_over_times_trained():
    state, trained = state_of(RePBPruner(prune_ratio=0.7)), torch.zeros(N)
    for epoch in range(EPOCHS):
        selection = an_epoch(state, who(epoch))
        if epoch:
            expected = epoch / trained[selection.indices]
            torch.testing.assert_close(selection.weights, expected)
        trained[selection.indices] += 1
        assert torch.equal(state.counts, trained.int())


def test_rs2_trains_on_all_equally_often():
    state = state_of(RS2Pruner(prune_ratio=0.7))
    for epoch in range(EPOCHS):
        an_epoch(state, who(epoch))
        assert state.counts.max() - state.counts.min() <= 1


@pytest.mark.parametrize("pruner", [InfoBatchPruner, *REPB, RS2Pruner])
@pytest.mark.parametrize("at", [2, 4])
def test_a_resume_in_mid_epoch_changes_nothing(pruner, at):
    whole, stopped = state_of(pruner(prune_ratio=0.5)), state_of(pruner(prune_ratio=0.5))
    for epoch in range(3):
        for state in (whole, stopped):
            an_epoch(state, who(epoch))
    batches = stopped.begin_epoch().indices.split(16)
    for batch in batches[:at]:
        record(stopped, batch, who(3))
    resumed = state_of(pruner(prune_ratio=0.5))
    resumed.load_state_dict(stopped.state_dict())
    assert set(resumed.recorded.tolist()) == set(torch.cat(batches[:at]).tolist())
    for batch in batches[at:]:
        record(resumed, batch, who(3))
    resumed.end_epoch()
    whole.begin_epoch()
    for batch in batches:
        record(whole, batch, who(3))
    whole.end_epoch()
    for name in ("scores", "counts"):
        torch.testing.assert_close(
            getattr(resumed, name), getattr(whole, name), equal_nan=True, rtol=0, atol=0
        )
    first, second = resumed.begin_epoch(), whole.begin_epoch()
    assert torch.equal(first.indices, second.indices)


@pytest.mark.parametrize("silent", [[0], [N], [3, 3]], ids=["recorded", "outside", "twice"])
def test_what_cannot_be_is_refused(silent):
    state = state_of(InfoBatchPruner())
    state.begin_epoch()
    state.record(torch.tensor([0, 1]), torch.ones(2))
    state.record_silent(torch.tensor(silent))
    with pytest.raises(ValueError, match="recorded more than once|must lie in"):
        state.end_epoch()


def test_it_is_for_an_open_epoch():
    with pytest.raises(RuntimeError, match="record_silent is for an open epoch"):
        state_of(InfoBatchPruner()).record_silent(torch.tensor([0]))
