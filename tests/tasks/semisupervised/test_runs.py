"""Whole runs: who is scored, stop and resume, several processes, images, sounds and texts."""

import math

import pytest
import torch

from bls_bench.pruning.checks import NonFiniteLossError
from bls_bench.tasks.classification.models import Classifier
from bls_bench.tasks.objective import Loss

from ...engine.helpers import Perceptron
from ...helpers import StopAt
from ...two_processes import in_two_processes
from ..running import assert_same, make_engine, train, train_in_two_goes
from .helpers import ALGORITHMS, TEXTS, TINY


def an_epoch_of(engine):
    """Train an epoch; returns for each step the samples, their losses and which of them count."""
    seen, loss = [], engine.learner.objective.loss

    def noted(model, batch, place, wanted):
        found = loss(model, batch, place, wanted)
        seen.append((batch.own.indices, found.value.detach(), found.counted))
        return found

    engine.learner.objective.loss = noted
    line = engine.epoch(None, StopAt(-1))
    engine.learner.objective.loss = loss
    return line, seen


@pytest.mark.parametrize("scorer", ["per_sample", "bls"])
def test_a_score_is_given_where_a_loss_was_and_nowhere_else(scorer):
    engine = make_engine(*TINY, "pruner=infobatch", f"scorer={scorer}", "task.threshold=0.25")
    line, seen = an_epoch_of(engine)
    # BLS begins with the first batch loss: the mean over those who have one.
    first = next(losses[counted].mean() for _, losses, counted in seen if counted.any())
    expected = torch.full((100,), torch.nan)
    scored = torch.zeros(100, dtype=torch.bool)
    for indices, losses, counted in seen:
        assert not losses[~counted].any()
        sure, own = indices[counted], losses[counted]
        scored[sure] = True
        if scorer == "per_sample":
            expected[sure] = own
        elif len(own):
            expected[sure] = 0.7 * first + 0.3 * own.mean()
    scores = engine.state.scores.clone()
    torch.testing.assert_close(scores, expected, equal_nan=True)
    assert 0 < int(scored.sum()) < 100
    assert torch.equal(engine.state.counts, torch.ones(100, dtype=torch.int32))  # unsure ones too
    assert line["trained"] == line["kept"] == 100
    # In the next epoch who is unsure keeps the score that it had.
    _, seen = an_epoch_of(engine)
    for indices, _, counted in seen:
        unsure = indices[~counted]
        assert torch.equal(engine.state.scores[unsure].nan_to_num(-1), scores[unsure].nan_to_num(-1))


@pytest.mark.parametrize("pruner", ["infobatch", "bls_seta", "bls_repb", "ucb"])
def test_without_a_single_sure_sample_nothing_is_scored(pruner, tmp_path):
    result, lines, _ = train(tmp_path, *TINY, f"pruner={pruner}", "task.threshold=1")
    assert [line["loss_confident"] for line in lines] == [0, 0, 0]
    assert result["loss_last"] == 0
    assert all(line["score_loss_spearman"] is None for line in lines)


@pytest.mark.parametrize("threshold", [0.25, 1])
def test_repb_weighs_by_who_was_trained_on_not_by_who_was_sure(threshold, tmp_path):
    settings = ("pruner=repb", "pruner.prune_ratio=0", f"task.threshold={threshold}")
    _, lines, _ = train(tmp_path, *TINY, *settings)
    assert [line["kept"] for line in lines] == [100] * len(lines)
    assert {line["weight_sum"] for line in lines} == {1}


def test_a_model_that_diverges_ends_the_run(tmp_path):
    with pytest.raises(NonFiniteLossError):
        train(tmp_path, *TINY, "pruner=none", "optimizer.lr=1e38")


@pytest.mark.parametrize("pruner", ["repb", "bls_seta"])
@pytest.mark.parametrize("pruned", [(), ("task.prune=labelled", "trainer.batch_size=4")])
def test_either_stream_is_pruned(pruner, pruned, tmp_path):
    result, lines, _ = train(tmp_path, *TINY, *pruned, f"pruner={pruner}")
    assert result["num_samples"] == (20 if pruned else 100)
    assert result["pruned_percent"] > 0
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert all(line["loss_labelled"] > 0 for line in lines)


LABELLED = ("task.prune=labelled", "trainer.batch_size=4")
STOPPED = [(algorithm, ()) for algorithm in ALGORITHMS]
STOPPED += [("flexmatch", LABELLED), ("flexmatch", ("trainer.accumulate=2",))]


@pytest.mark.parametrize(("algorithm", "more"), STOPPED)
def test_stopped_in_the_middle_of_an_epoch_equals_uninterrupted(algorithm, more, tmp_path):
    overrides = (*TINY, f"task.algorithm={algorithm}", "task.floor=2.2", "pruner=bls_infobatch", *more)
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(6, tmp_path / "parts", *overrides), whole)


def test_a_stop_after_steps_without_a_loss_is_gone_on_from(tmp_path):
    overrides = (*TINY, "task.threshold=1", "pruner=infobatch")
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(2, tmp_path / "parts", *overrides), whole)


PROCESSES = (*TINY, "optimizer=sgd", "pruner=infobatch", "task.ratio=7", "trainer.epochs=2")


def epochs_of(algorithm, pruned):
    Classifier.build = lambda *_: Perceptron()
    engine = make_engine(*PROCESSES, *pruned, f"task.algorithm={algorithm}", "task.floor=2.3")
    lines = [engine.epoch(None, StopAt(-1)) for _ in range(2)]
    state = dict(engine.learner.objective.state_dict())
    found = [(line["accuracy"], line["loss_labelled"], line["loss_unlabelled"]) for line in lines]
    return found, engine.learner.weights(), engine.state.scores, state


RUNS = [(algorithm, ()) for algorithm in ALGORITHMS]
RUNS += [("flexmatch", LABELLED)]


def all_runs(rank=0, folder=None):
    return [epochs_of(*run) for run in RUNS]


def test_two_processes_make_the_steps_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(Classifier, "build", Classifier.build)  # put back afterwards
    alone = all_runs()
    for both in in_two_processes(all_runs, tmp_path):
        for one, other in zip(alone, both, strict=True):
            assert torch.tensor(other[0]) == pytest.approx(torch.tensor(one[0]), rel=1e-5)
            torch.testing.assert_close(other[1], one[1])
            torch.testing.assert_close(other[2], one[2], equal_nan=True)
            torch.testing.assert_close(other[3], one[3])


SOUNDS = (
    "task=semisupervised",
    "task.views=sound",
    "task.labels=2",
    "dataset=chirps",
    "dataset.size=10",
    "model=logmel_cnn",
    "model.width=4",
    "model.bands=24",
    "task.ratio=4",
    "trainer.batch_size=16",
    "task.threshold=0.13",
)


@pytest.mark.parametrize("overrides", [SOUNDS, (*TEXTS, "task.threshold=0.168")], ids=["sound", "text"])
def test_sounds_and_texts_train_too(overrides, tmp_path):
    result, lines, _ = train(tmp_path, *overrides, "trainer.epochs=2", "pruner=bls_infobatch")
    assert result["status"] == "finished"
    assert lines[-1]["loss_confident"] > 0


@pytest.mark.slow
def test_few_labels_go_further_with_the_others(tmp_path):
    both, alone = (
        train(tmp_path / name, "task=semisupervised", "pruner=none", f"task.weight={weight}")[0]
        for name, weight in (("both", 1), ("alone", 1e-9))
    )
    assert both["accuracy_last"] > alone["accuracy_last"] + 2


def test_a_loss_says_what_counts_of_a_batch_in_parts():
    from bls_bench.engine.learner import joined

    parts = [
        Loss(torch.ones(2), counted=torch.tensor([True, False])),
        Loss(torch.ones(1), counted=torch.ones(1) > 0),
    ]
    assert joined(parts, [2 / 3, 1 / 3]).counted.tolist() == [True, False, True]
