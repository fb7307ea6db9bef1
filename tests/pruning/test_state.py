import copy
import pickle

import pytest
import torch

from bls_bench.pruning.checks import NonFiniteLossError
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.ucb import UCBPruner
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.scorers.residual import ResidualScore
from bls_bench.pruning.selection import Selection
from bls_bench.pruning.state import PruningState
from bls_bench.pruning.visits import PACK

from .helpers import PRUNERS, SCORERS, make_state, record, run_epoch, skewed_losses

pytestmark = pytest.mark.pruning


def same(a, b):
    assert torch.equal(a.scores.nan_to_num(-9), b.scores.nan_to_num(-9))
    assert torch.equal(a.counts, b.counts)
    assert a.pruned_percent == b.pruned_percent
    assert a.epoch == b.epoch


@pytest.mark.parametrize("pruner", PRUNERS)
@pytest.mark.parametrize("scorer", SCORERS)
class TestEveryPair:
    def test_selections_are_valid_and_percent_adds_up(self, pruner, scorer):
        n, losses = 300, skewed_losses(300)
        state, used = make_state(pruner(), scorer(), n=n), 0
        counts = torch.zeros(n, dtype=torch.int32)
        for epoch in range(10):
            selection, visits = run_epoch(state, losses)
            assert selection.indices.dtype == torch.int64
            assert len(selection.indices.unique()) == len(selection) > 0
            assert selection.indices.min() >= 0
            assert selection.indices.max() < n
            assert selection.weights is None or bool((selection.weights > 0).all())
            assert torch.equal(visits.indices, selection.indices)
            counts[selection.indices] += 1
            used += len(selection)
            assert torch.equal(state.counts, counts)
            whole = n * (epoch + 1) * state.epochs_asked / state.num_epochs
            assert state.pruned_percent == pytest.approx(100 * (1 - used / whole))
            assert not state.scores[counts > 0].isnan().any()

    def test_resume_in_mid_epoch_changes_nothing(self, pruner, scorer, tmp_path):
        n = 300
        whole = make_state(pruner(), scorer(), n=n)
        for epoch in range(6):
            run_epoch(whole, skewed_losses(n, epoch))
        state = make_state(pruner(), scorer(), n=n)
        for epoch in range(6):
            losses = skewed_losses(n, epoch)
            for number, batch in enumerate(state.begin_epoch().batches(32)):
                if number == 3:
                    torch.save(state.state_dict(), tmp_path / "state.pt")
                    state = make_state(pruner(), scorer(), n=n)
                    state.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
                record(state, batch.indices, losses)
            state.end_epoch()
            state = pickle.loads(pickle.dumps(copy.deepcopy(state)))
        same(whole, state)
        assert torch.equal(whole.begin_epoch().indices, state.begin_epoch().indices)

    def test_the_seed_decides(self, pruner, scorer):
        losses = skewed_losses(300)
        states = [make_state(pruner(), scorer(), n=300, seed=seed) for seed in (1, 1, 2)]
        for _ in range(4):
            first, again, other = (run_epoch(state, losses)[0] for state in states)
            assert torch.equal(first.indices, again.indices)
            assert not torch.equal(first.indices, other.indices)


def test_what_is_recorded_is_neither_copied_nor_kept_in_the_graph():
    state = make_state(NoPruning(), n=4)
    selection = state.begin_epoch()
    loss = torch.ones(4, requires_grad=True) * 2
    state.record(selection.indices, loss)
    ((_, kept),) = state._log._recent
    assert kept.data_ptr() == loss.data_ptr()
    assert not kept.requires_grad


def test_scores_change_only_when_the_epoch_ends():
    losses = skewed_losses(100)
    state = make_state(NoPruning(), n=100)
    run_epoch(state, losses)
    before = state.scores.clone()
    for batch in state.begin_epoch().batches(10):
        state.record(batch.indices, losses[batch.indices] * 2)
    assert torch.equal(state.scores, before)
    state.end_epoch()
    torch.testing.assert_close(state.scores, before * 2)


@pytest.mark.parametrize("scorer", [PerSampleLoss, BatchLossScore])
def test_an_epoch_of_very_many_batches_keeps_each_loss_with_its_samples(scorer):
    """The log joins batches as they come; a resume in the middle of that changes nothing."""
    n, cut = 2 * (2 * PACK + 7) - 1, PACK + 9
    losses, state, whole = (
        skewed_losses(n),
        make_state(NoPruning(), scorer(), n),
        make_state(NoPruning(), scorer(), n),
    )
    run_epoch(whole, losses, batch_size=2)
    for number, batch in enumerate(state.begin_epoch().batches(2)):
        if number == cut:
            saved = state.state_dict()
            state = make_state(NoPruning(), scorer(), n)
            state.load_state_dict(saved)
        own = losses[batch.indices]
        state.record(batch.indices, own if state.scorer.per_sample else own.mean())
    visits = state.end_epoch()
    torch.testing.assert_close(
        visits.batch_losses, torch.stack([losses[part].mean() for part in visits.indices.split(2)])
    )
    assert torch.equal(state.scores, whole.scores)


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_saved_state_stays_what_it_was(scorer):
    """The run that gave it goes on, and so do two that took it back."""
    losses, states = skewed_losses(100), [make_state(UCBPruner(), scorer(), 100) for _ in range(3)]
    run_epoch(states[0], losses)
    run_epoch(states[0], losses)
    saved = states[0].state_dict()
    run_epoch(states[0], losses)
    for state in states[1:]:
        state.load_state_dict(saved)
        run_epoch(state, losses)
        same(state, states[0])


def test_batches_left_out_keep_their_scores():
    losses = skewed_losses(100)
    state = make_state(NoPruning(), n=100)
    run_epoch(state, losses)
    batches = list(state.begin_epoch().batches(10))
    for batch in batches[::2]:
        state.record(batch.indices, losses[batch.indices] + 1)
    state.end_epoch()
    for number, batch in enumerate(batches):
        torch.testing.assert_close(state.scores[batch.indices], losses[batch.indices] + (number % 2 == 0))


def test_an_epoch_without_any_batch_can_end():
    for pruner in (InfoBatchPruner(), RePBPruner()):
        for scorer in (PerSampleLoss(), BatchLossScore()):
            state = make_state(pruner, scorer, n=10)
            state.begin_epoch()
            state.end_epoch()
            assert state.scores.isnan().all()
            assert len(state.begin_epoch()) > 0


def test_past_the_last_epoch_it_warns_and_trains_on_everything():
    state = make_state(RandomPruner(), n=10, epochs=1)
    run_epoch(state, skewed_losses(10))
    with pytest.warns(UserWarning, match="past num_epochs=1"):
        assert len(state.begin_epoch()) == 10


@pytest.mark.parametrize("per_sample", [True, False])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_non_finite_loss_names_epoch_and_batch_and_changes_nothing(per_sample, value):
    losses = skewed_losses(100)
    state = make_state(NoPruning(), PerSampleLoss() if per_sample else BatchLossScore(), n=100)
    run_epoch(state, losses)
    before = state.scores.clone()
    for number, batch in enumerate(state.begin_epoch().batches(10)):
        own = losses[batch.indices].clone()
        own[3] = value if number >= 4 else own[3]
        state.record(batch.indices, own if per_sample else own.mean())
    with pytest.raises(NonFiniteLossError, match="in epoch 1, batch 4") as caught:
        state.end_epoch()
    assert (caught.value.epoch, caught.value.batch) == (1, 4)
    assert torch.equal(state.scores, before)


class TestBadCalls:
    def test_order(self):
        state = make_state(NoPruning(), n=10)
        with pytest.raises(RuntimeError, match="begin_epoch first"):
            state.record(torch.arange(2), torch.ones(2))
        with pytest.raises(RuntimeError, match="begin_epoch first"):
            state.end_epoch()
        state.begin_epoch()
        with pytest.raises(RuntimeError, match="still open"):
            state.begin_epoch()

    @pytest.mark.parametrize(
        ("scorer", "loss", "error", "message"),
        [
            (PerSampleLoss(), torch.tensor(1.0), TypeError, "score with BLS"),
            (PerSampleLoss(), torch.ones(3), ValueError, "expected 2 losses"),
            (PerSampleLoss(), torch.ones(2, 1), ValueError, "expected 2 losses"),
            (BatchLossScore(), torch.ones(3), ValueError, "expected 2 losses"),
        ],
    )
    def test_loss_of_the_wrong_shape(self, scorer, loss, error, message):
        state = make_state(NoPruning(), scorer, n=10)
        state.begin_epoch()
        with pytest.raises(error, match=message):
            state.record(torch.arange(2), loss)

    def test_empty_batch_and_mixed_kinds(self):
        state = make_state(NoPruning(), BatchLossScore(), n=10)
        state.begin_epoch()
        with pytest.raises(ValueError, match="at least 1 sample"):
            state.record(torch.arange(0), torch.tensor(1.0))
        state.record(torch.arange(2), torch.tensor(1.0))
        with pytest.raises(ValueError, match="not some of each"):
            state.record(torch.arange(2, 4), torch.ones(2))

    @pytest.mark.parametrize(
        ("indices", "message"),
        [([1, 10], r"\[0, 10\), got 10"), ([-1, 3], "got -1"), ([4, 4], "sample 4 was")],
    )
    def test_wrong_indices_change_nothing(self, indices, message):
        state = make_state(NoPruning(), n=10)
        state.begin_epoch()
        state.record(torch.tensor(indices), torch.ones(2))
        with pytest.raises(ValueError, match=message):
            state.end_epoch()
        assert state.scores.isnan().all()

    def test_sizes(self):
        with pytest.raises(ValueError, match="at least 1 sample, got 0"):
            PruningState(0, 1, NoPruning(), PerSampleLoss(), 0)
        with pytest.raises(ValueError, match="num_epochs must be at least 1, got 0"):
            PruningState(1, 0, NoPruning(), PerSampleLoss(), 0)

    def test_a_pruner_that_leaves_nothing(self):
        class Nothing(Pruner):
            def select(self, epoch):
                return Selection(torch.arange(0))

        with pytest.raises(ValueError, match="Nothing leaves none of the 10 samples"):
            make_state(Nothing(), n=10).begin_epoch()

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (lambda: make_state(InfoBatchPruner(), n=11), "num_samples 11, this run has 10"),
            (lambda: make_state(RandomPruner(), n=10), "pruner RandomPruner, this run has InfoBatchPruner"),
            (lambda: make_state(InfoBatchPruner(), BatchLossScore(), n=10), "scorer BatchLossScore"),
        ],
    )
    def test_a_foreign_state_changes_nothing(self, other, message):
        state = make_state(InfoBatchPruner(), n=10)
        run_epoch(state, skewed_losses(10))
        before = state.scores.clone()
        with pytest.raises(ValueError, match=message):
            state.load_state_dict(other().state_dict())
        assert torch.equal(state.scores, before)
        assert state.epoch == 1


def test_an_epoch_goes_on_on_another_device():
    """A checkpoint brings losses back on the CPU; the run that goes on may train on a GPU."""
    losses = skewed_losses(100)
    state = make_state(NoPruning(), n=100)
    batches = list(state.begin_epoch().batches(10))
    for batch in batches[:3]:
        state.record(batch.indices, losses[batch.indices])
    again = make_state(NoPruning(), n=100)
    again.load_state_dict(state.state_dict())
    for batch in batches[3:5]:
        again.record(batch.indices, losses[batch.indices].to("meta"))
    with pytest.raises(ValueError, match="expected the loss on meta, as before, and got it on cpu"):
        again.record(batches[5].indices, losses[batches[5].indices])


def test_a_pruner_and_a_scorer_serve_two_runs_that_know_nothing_of_each_other():
    pruner, scorer = UCBPruner(prune_ratio=0.5), ResidualScore()
    losses = skewed_losses(100)
    runs = [[], []]
    for chosen in runs:
        state = make_state(pruner, scorer, n=100)
        for _ in range(4):
            chosen.append(run_epoch(state, losses)[0].indices)
    assert all(map(torch.equal, *runs))
