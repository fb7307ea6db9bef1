"""Runs counted in steps, and losses that a run skips."""

import contextlib
import itertools
import warnings

import pytest
import torch

from bls_bench import DataLoader, InfoBatch, RandomPruning, RePB, SeTa
from bls_bench.pruning.checks import NonFiniteLossError

from .helpers import HANDLERS, Planted, bls, loader_of, planted

pytestmark = pytest.mark.pruning

N, BATCH = 203, 16


def loop(handler, steps, **kwargs):
    """Train for so many steps, whatever the epochs; returns the progress before each."""
    progress = []
    while len(progress) < steps:
        for _, losses in itertools.islice(loader_of(handler, **kwargs), steps - len(progress)):
            progress.append(handler.progress)
            handler.update(losses if handler.state.scorer.per_sample else losses.mean())
    return progress


@pytest.mark.parametrize("cls", HANDLERS)
@pytest.mark.parametrize("wrap", [lambda handler: handler, bls])
def test_progress_is_steps_of_all_steps(cls, wrap):
    handler = wrap(cls(Planted(N), num_steps=100, batch_size=BATCH))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loop(handler, 100) == [step / 100 for step in range(100)]
    assert handler.progress == 1
    assert handler.epoch >= 7  # 13 steps each, or fewer
    with pytest.warns(UserWarning, match="past num_steps=100: training on all samples"):
        handler.end_epoch(), loop(handler, 1)


@pytest.mark.parametrize("cls", [InfoBatch, SeTa])
def test_annealing_takes_the_last_steps(cls):
    """Where delta of the steps are made the epochs are whole (SeTa's: uniform draws), and not before."""
    handler = cls(Planted(N), num_steps=2000, batch_size=BATCH, delta=0.75)
    kept, begun, state = [], [], handler.state
    while handler.progress < 1:
        begun.append(state.steps_made)
        kept.append(len(handler.sampler))
        for _, losses in itertools.islice(loader_of(handler), 2000 - state.steps_made):
            handler.update(losses)
    whole = N if cls is InfoBatch else int(0.9 * N + 1e-9)
    annealed = [count == whole for count in kept]
    first = min(place for place in range(1, len(kept)) if all(annealed[place:]))
    assert begun[first] / 2000 == pytest.approx(0.75, abs=0.01)
    assert sum(annealed[1:first]) < 3


@pytest.mark.parametrize("make", [InfoBatch, RePB, RandomPruning])
def test_a_target_is_met(make):
    handler = make(Planted(N), num_steps=1000, batch_size=BATCH, target=0.5)
    assert handler.state.num_epochs == round(1000 / (N / 2 / BATCH + 0.5))
    loop(handler, 1000)
    assert handler.pruned_percent == pytest.approx(50, abs=1.5)


def test_a_run_in_steps_resumes():
    whole, handler = (InfoBatch(Planted(N), num_steps=100, batch_size=BATCH) for _ in range(2))
    loop(whole, 100)
    loop(handler, 45)
    resumed = InfoBatch(Planted(N), num_steps=100, batch_size=BATCH)
    resumed.load_state_dict(handler.state_dict())
    assert resumed.progress == 0.45
    assert loop(resumed, 55) == [step / 100 for step in range(45, 100)]
    assert torch.equal(resumed.state.counts, whole.state.counts)
    assert resumed.pruned_percent == whole.pruned_percent


@pytest.mark.parametrize(("samples", "batch_size", "steps"), [(203, 16, 100), (1000, 64, 70), (203, 16, 3)])
def test_the_documented_loop_makes_just_the_steps(samples, batch_size, steps):
    train_data, made = InfoBatch(Planted(samples), num_steps=steps, batch_size=batch_size), 0
    loader = loader_of(train_data, batch_size=batch_size)
    while train_data.progress < 1:
        for _, losses in loader:
            train_data.update(losses)
            made += 1
            if train_data.progress >= 1:
                break
    assert made == train_data.state.steps_made == steps


def test_skipped_batches_are_steps():
    handler = InfoBatch(Planted(N), num_steps=100, batch_size=BATCH)
    for _ in itertools.islice(loader_of(handler), 10):
        handler.skip()
    assert handler.progress == 0.1


def test_a_batch_is_one_step_however_many_calls_it_takes():
    handler = InfoBatch(Planted(N), num_steps=100, batch_size=BATCH)
    for indices, losses in itertools.islice(loader_of(handler), 10):
        first = losses > 0.5
        handler.update(losses[first], indices=indices[first])
        handler.update(losses[~first][1:], indices=indices[~first][1:])
        handler.skip(), handler.skip()
    assert handler.state.steps_made == 10


def test_a_skip_counts_every_batch_before_it():
    handler = InfoBatch(Planted(N), num_steps=100, batch_size=BATCH)
    for number, _ in zip(range(1, 11), loader_of(handler), strict=False):
        if number % 2 == 0:
            handler.skip()
    assert handler.state.steps_made == 10


@pytest.mark.parametrize("cls", [DataLoader, torch.utils.data.DataLoader])
def test_batches_read_ahead_are_a_step_each(cls):
    handler = InfoBatch(Planted(N), num_steps=100, batch_size=BATCH)
    ahead = None
    for indices, losses in itertools.islice(loader_of(handler, cls), 11):
        if ahead is not None:
            handler.update(ahead[1], indices=ahead[0])
        ahead = indices, losses
    assert handler.state.steps_made == 10


@pytest.mark.parametrize(
    ("length", "error", "message"),
    [
        ({}, TypeError, "give num_epochs, or num_steps and batch_size: got neither"),
        ({"num_epochs": 5, "num_steps": 5, "batch_size": 5}, TypeError, "got both"),
        ({"num_steps": 5}, TypeError, r"batch_size \(that of the loader\) belong together"),
        ({"num_epochs": 5, "batch_size": 5}, TypeError, "belong together"),
        ({"num_steps": 1.5, "batch_size": 5}, TypeError, "num_steps must be a whole number, got 1.5"),
        ({"num_steps": 0, "batch_size": 5}, ValueError, "num_steps must be at least 1, got 0"),
        ({"num_steps": 5, "batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"num_steps": 50, "batch_size": 16, "target": 0.94}, ValueError, "cannot be reached"),
    ],
)
def test_lengths_that_are_refused(length, error, message):
    with pytest.raises(error, match=message):
        InfoBatch(Planted(N), **length)


class TestNonFinite:
    @pytest.mark.parametrize("wrap", [lambda handler: handler, bls])
    def test_it_is_skipped_counted_and_told(self, wrap):
        handler = wrap(InfoBatch(Planted(N), 5, on_nonfinite="skip"))
        per_sample, bad = handler.state.scorer.per_sample, []
        told = pytest.warns(UserWarning, match="epoch 0: 2 losses were not finite and were skipped")
        for number, (indices, losses) in enumerate(loader_of(handler)):
            if number in (3, 5):
                losses[2] = torch.nan if number == 3 else torch.inf
                bad += [indices[2:3] if per_sample else indices]
            with told if number == 12 else contextlib.nullcontext():
                handler.update(losses)
        assert (handler.epoch, handler.nonfinite) == (1, 2)
        absent = torch.zeros(N, dtype=torch.bool)
        absent[torch.cat(bad)] = True
        assert torch.equal(handler.state.counts == 0, absent)
        assert handler.scores[~absent].isfinite().all()
        if per_sample:
            assert torch.equal(handler.scores[~absent], planted(N)[~absent])
        assert wrap(InfoBatch(Planted(N), 5)).nonfinite == 0
        resumed = wrap(InfoBatch(Planted(N), 5))
        resumed.load_state_dict(handler.state_dict())
        assert resumed.nonfinite == 2

    def test_windows_are_of_what_is_left(self):
        """A batch that is skipped whole is none of RePB's windows."""
        skipping = bls(RePB(Planted(N), 5, on_nonfinite="skip"), alpha=0)
        leaving_out = bls(RePB(Planted(N), 5), alpha=0)
        for number, (_, losses) in enumerate(loader_of(skipping)):
            with pytest.warns(UserWarning, match="1 losses") if number == 12 else contextlib.nullcontext():
                skipping.update(losses * (torch.nan if number == 4 else 1))
        for number, (_, losses) in enumerate(loader_of(leaving_out)):
            leaving_out.skip() if number == 4 else leaving_out.update(losses)
        assert torch.equal(skipping.scores, leaving_out.scores)
        assert torch.equal(skipping.state.upcoming().indices, leaving_out.state.upcoming().indices)

    def test_a_diverged_run_still_stops(self):
        handler = InfoBatch(Planted(N), 5, on_nonfinite="skip")
        with pytest.raises(NonFiniteLossError, match="training has diverged"):
            for _, losses in loader_of(handler):
                handler.update(losses * torch.nan)

    def test_another_word(self):
        with pytest.raises(ValueError, match="on_nonfinite must be raise or skip, got 'ignore'"):
            InfoBatch(Planted(N), 5, on_nonfinite="ignore")


@pytest.mark.parametrize(
    ("shape", "way_out"),
    [
        ((16, 1), r"take loss\.squeeze\(1\)"),
        ((16, 7), r"take \(loss \* mask\)\.sum\(1\) / mask\.sum\(1\), or loss\.flatten\(1\)\.mean\(1\)"),
        ((16, 3, 4, 4), r"take loss\.flatten\(1\)\.mean\(1\)"),
        ((112,), r"if these are 7 a sample, take loss\.view\(16, -1\)\.mean\(1\)"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda handler: handler, bls])
def test_losses_of_other_shapes_are_told_the_way(shape, way_out, wrap):
    handler = wrap(InfoBatch(Planted(N), 5))
    next(iter(loader_of(handler)))
    with pytest.raises(ValueError, match=rf"expected 16 losses, one a sample, got shape .*: {way_out}"):
        handler.update(torch.ones(shape))
