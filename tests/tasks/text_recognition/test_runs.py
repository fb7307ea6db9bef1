"""Laws of whole runs of text recognition, on sixty words of digits."""

import pytest
import torch

from bls_bench.system.errors import InputError
from bls_bench.tasks.objective import Place

from ...helpers import StopAt
from ...two_processes import in_two_processes
from ..running import assert_same, make_config, make_engine, train, train_in_two_goes
from .helpers import TINY, listed

PAIRS = [("infobatch", "per_sample"), ("random", "per_sample"), ("seta", "bls"), ("repb", "bls")]


@pytest.mark.parametrize(("pruner", "scorer"), PAIRS)
@pytest.mark.parametrize("model", ["ctc", "position_attention"])
def test_every_kind_of_pruning_trains(model, pruner, scorer, tmp_path):
    batch_loss = f"task.per_sample={scorer == 'per_sample'}"
    words = (f"model={model}", f"pruner={pruner}", f"scorer={scorer}", batch_loss)
    result, lines, _ = train(tmp_path, *TINY, *words)
    assert result["status"] == "finished"
    assert len(lines) == 3
    assert 0 <= result["word_accuracy_last"] <= 100
    assert [path.name for path in tmp_path.glob("*/*.png")] == ["words.png"]


@pytest.mark.parametrize("model", ["ctc", "position_attention"])
def test_stopped_in_the_middle_of_an_epoch_equals_uninterrupted(model, tmp_path):
    overrides = (*TINY, f"model={model}", "pruner=bls_infobatch")
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(6, tmp_path / "parts", *overrides), whole)


def two_epochs(rank=0, folder=None):
    # Without dropout, whose noise is each process' own, and AdamW, which turns rounding into steps.
    # An even number of words in every batch: the mean of two halves is that of the whole.
    plain = ("model.dropout=0", "optimizer=sgd", "trainer.grad_clip=null", "dataset.words=64")
    engine = make_engine(*TINY, "pruner=random", "pruner.target=0.5", *plain)
    lines = [engine.epoch(None, StopAt(-1)) for _ in range(2)]
    return [line["word_accuracy"] for line in lines], engine.learner.weights()


def test_two_processes_make_the_steps_of_one(tmp_path):
    accuracies, weights = two_epochs()
    for other, others in in_two_processes(two_epochs, tmp_path):
        assert other == accuracies
        for name, value in weights.items():
            torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-4)


def test_a_few_words_are_learnt_by_heart():
    engine = make_engine(*TINY, "model=position_attention", "model.dropout=0")
    network, objective = engine.learner.model.module, engine.learner.objective
    (batch,) = engine.data.train.plain().batches([torch.arange(6)], 0, torch.device("cpu"))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        objective.loss(network, batch, Place(0, 0, 0), frozenset()).value.mean().backward()
        optimizer.step()
    measure = objective.measure()
    measure.update(network.eval(), batch)
    assert measure.compute() == {"word_accuracy": 100.0}


def test_each_benchmark_has_a_metric_where_there_are_several(tmp_path):
    root = listed(tmp_path / "data", ["one", "two", "three"] * 4, ("train", "first", "second"))
    words = ("task=text_recognition", "dataset=iiit5k", f"dataset.root={root}", "dataset.workers=0")
    more = ("dataset.benchmarks=[first,second]", "trainer.epochs=1", "trainer.batch_size=4", "model.width=32")
    result, (line,), _ = train(tmp_path, *words, *more, "pruner=none")
    assert {"word_accuracy", "word_accuracy_first", "word_accuracy_second"} <= line.keys()
    assert result["metrics"][0]["name"] == "word_accuracy"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["dataset=digits"],
            r"needs pictures of words, which dataset=digits does not give: use dataset=digit",
        ),
        (["model=resnet18"], r"model=classifier needs .*, which dataset=digit_words does not give"),
        (["task.per_sample=false", "pruner=infobatch"], r"scorer=per_sample needs the loss of each sample"),
        (["model.width=40"], r"model.width must be a multiple of 32, got 40"),
        (["dataset.digits=0"], r"dataset.digits must be at least 1, got 0"),
        (
            ["dataset=iiit5k", "dataset.root=x", "dataset.train=[]"],
            r"dataset.train must name at least one split",
        ),
        (
            ["dataset=iiit5k", "dataset.root=x", "dataset.alphabet=aba"],
            r"dataset.alphabet must be .*got 'aba'",
        ),
    ],
)
def test_wrong_values_are_refused_by_name(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config("task=text_recognition", *overrides)


def test_benchmarks_that_the_data_have_not_are_refused():
    with pytest.raises(InputError, match=r"task.benchmarks=\['x'\] must be those of the data set, \[\]"):
        make_engine(*TINY, "task.benchmarks=[x]")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["dataset.benchmarks=[train]"],
            r"benchmarks must hold none of the splits of train, got \['train'\]",
        ),
        (["dataset.benchmarks=[a/x,b/x]"], r"benchmarks must end in different names, got \['a/x', 'b/x'\]"),
    ],
)
def test_sets_that_are_not_apart_are_refused(overrides, message, tmp_path):
    with pytest.raises(InputError, match=message):
        make_config("experiment=iiit5k", f"dataset.root={tmp_path}", *overrides)
