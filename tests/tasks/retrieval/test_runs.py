"""Laws of whole runs of retrieval, on forty pairs."""

import weakref

import pytest
import torch

from bls_bench.system.errors import InputError
from bls_bench.tasks.objective import Place

from ..running import assert_same, make_config, make_engine, train, train_in_two_goes

TINY = (
    "task=retrieval",
    "dataset.images=40",
    "dataset.image_size=32",
    "model.width=32",
    "trainer.epochs=3",
    "trainer.batch_size=16",
)


@pytest.mark.parametrize("pruner", ["bls_infobatch", "bls_seta", "bls_repb", "random", "none"])
@pytest.mark.parametrize("loss", ["info_nce", "soft_margin"])
def test_every_kind_of_pruning_trains(pruner, loss, tmp_path):
    batch_loss = f"task.per_sample={loss == 'info_nce'}"
    result, lines, _ = train(tmp_path, *TINY, f"pruner={pruner}", f"task.loss={loss}", batch_loss)
    assert result["status"] == "finished"
    assert len(lines) == 3
    assert all(0 <= line["R1"] <= line["R5"] <= line["R10"] <= 100 for line in lines)
    assert [path.name for path in tmp_path.glob("*/*.png")] == ["found.png"]


def test_stopped_in_the_middle_of_an_epoch_equals_uninterrupted(tmp_path):
    overrides = (*TINY, "pruner=bls_infobatch")
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(4, tmp_path / "parts", *overrides), whole)


@pytest.mark.parametrize("loss", ["info_nce", "soft_margin"])
def test_a_few_pairs_are_learnt_by_heart(loss):
    engine = make_engine(*TINY, f"task.loss={loss}")
    network, objective = engine.learner.model.module, engine.learner.objective
    (batch,) = engine.data.train.plain().batches([torch.arange(12)], 0, torch.device("cpu"))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    for _ in range(60):
        optimizer.zero_grad()
        objective.loss(network, batch, Place(0, 0, 0), frozenset()).value.mean().backward()
        optimizer.step()
    measure = objective.measure()
    measure.update(network.eval(), batch)
    assert measure.compute()["R1"] == 100


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset=digits"], r"needs two views of each sample, which dataset=digits does not give"),
        (["model=resnet18"], r"model=classifier needs .*, which dataset=scene_views does not give"),
        (["task.per_sample=false", "pruner=infobatch"], r"scorer=per_sample needs the loss of each sample"),
        (["task.loss=triplet"], r"task.loss must be one of info_nce, soft_margin, got 'triplet'"),
        (["task.sharpness=0"], r"task.sharpness must be above 0, got 0"),
        (
            ["dataset=scene7_pairs", "dataset.root=x", "dataset.gap=0"],
            r"dataset.gap must be at least 1, got 0",
        ),
        (
            ["dataset=scene7_pairs", "dataset.root=x", "dataset.tested=1"],
            r"dataset.tested must be in \(0, 1\), got 1",
        ),
        (
            ["dataset=cvusa", "dataset.root=x", "dataset.train=a.csv", "dataset.test=a.csv"],
            r"test must hold none of the splits of train, got \['a.csv'\]",
        ),
        (
            ["dataset=cvusa", "dataset.root=x", "dataset.query=0"],
            r"place must be another column than query, got 0",
        ),
    ],
)
def test_wrong_values_are_refused_by_name(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config("task=retrieval", *overrides)


def test_the_pictures_of_a_run_hold_few_places_in_memory(tmp_path, monkeypatch):
    """Of all test places only vectors are kept: a drawing of few rows takes the pictures of few."""
    engine = make_engine(*TINY, "dataset.images=400")  # 100 to test on
    network, test = engine.learner.model.module.eval(), engine.data.test
    engine.learner.objective.measured_at_once = 10
    kept, made = [], type(test).batches

    def batches(self, *arguments):
        for batch in made(self, *arguments):
            kept.append(weakref.ref(batch.places))
            yield batch

    monkeypatch.setattr(type(test), "batches", batches)
    alive = []
    monkeypatch.setattr(
        "bls_bench.tasks.retrieval.objective.write_rows",
        lambda rows, path: alive.append(sum(len(one()) for one in kept if one() is not None)),
    )
    with torch.no_grad():
        engine.learner.objective.show(network, engine.data, tmp_path)
    # Six queries with four places each, and the last batch of ten.
    assert 30 <= alive[0] <= 40
