"""Laws of whole runs of captioning, on forty scenes."""

import numpy as np
import pytest
import torch
from PIL import Image

from bls_bench.engine.evaluation import measured
from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.objective import Alike
from bls_bench.tasks.objective import Place
from tests.two_processes import in_two_processes

from ..running import assert_same, make_config, make_engine, train, train_in_two_goes

TINY = (
    "task=captioning",
    "dataset.images=40",
    "dataset.image_size=32",
    "model.width=32",
    "model.layers=1",
    "trainer.epochs=3",
    "trainer.batch_size=16",
)
CPU = torch.device("cpu")


@pytest.mark.parametrize("pruner", ["bls_infobatch", "bls_seta", "bls_repb", "random", "none"])
@pytest.mark.parametrize("per_sample", [True, False])
def test_every_kind_of_pruning_trains(pruner, per_sample, tmp_path):
    result, lines, _ = train(tmp_path, *TINY, f"pruner={pruner}", f"task.per_sample={per_sample}")
    assert result["status"] == "finished"
    assert len(lines) == 3
    assert all(0 <= line["BLEU4"] <= 100 and 0 <= line["CIDEr"] <= 1000 for line in lines)
    (path,) = tmp_path.glob("*/*.png")
    assert path.name == "captions.png"
    with Image.open(path) as drawn:
        # The pictures are there, not the words below them alone.
        assert (np.asarray(drawn.convert("L")) < 200).mean() > 0.2


def test_stopped_in_the_middle_of_an_epoch_equals_uninterrupted(tmp_path):
    overrides = (*TINY, "pruner=bls_infobatch")
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(4, tmp_path / "parts", *overrides), whole)


def test_a_few_captions_are_learnt_by_heart():
    engine = make_engine(*TINY, "model.dropout=0")
    network, objective = engine.learner.model.module, engine.learner.objective
    (batch,) = engine.data.train.plain().batches([torch.arange(6)], 0, CPU)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    for _ in range(80):
        optimizer.zero_grad()
        objective.loss(network, batch, Place(0, 0, 0), frozenset()).value.mean().backward()
        optimizer.step()
    assert torch.equal(network.eval()(batch.images), batch.captions[:, :-1])


def test_processes_together_are_one():
    engine = make_engine(*TINY)
    network, objective = engine.learner.model.module.eval(), engine.learner.objective
    whole, parts = Alike(objective), [Alike(objective), Alike(objective)]
    for measure, own in (
        (whole, torch.arange(10)),
        (parts[0], torch.arange(0, 10, 2)),
        (parts[1], torch.arange(1, 10, 2)),
    ):
        (batch,) = engine.data.test.batches([own], 0, CPU)
        measure.update(network, batch)
    merged = Alike(objective)
    merged.merge([part.state() for part in parts])
    assert merged.compute() == whole.compute()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["dataset=coco_captions", "dataset.root=x", "dataset.test=train2017"],
            r"test must hold none of the splits of train, got \['train2017'\]",
        ),
        (["dataset=digits"], r"needs captions, which dataset=digits does not give: use dataset=described_"),
        (["model=resnet18"], r"model=classifier needs .*, which dataset=described_scenes does not give"),
        (["task.per_sample=false", "pruner=infobatch"], r"scorer=per_sample needs the loss of each sample"),
        (["model.width=30"], r"model.width must be a multiple of heads=4, got 30"),
        (["model.weights=a"], r"model.weights must be null for encoder=cnn, got a"),
        (["dataset.objects=0"], r"dataset.objects must be at least 1, got 0"),
        (
            ["dataset=rsicd", "dataset.root=x", "dataset.test=[]"],
            r"dataset.test must name at least one split",
        ),
        (
            ["dataset=rsicd", "dataset.root=x", "dataset.test=[val]"],
            r"dataset.test must hold none of the splits of train, got \['val'\]",
        ),
        (
            ["dataset=rsicd", "dataset.root=x", "dataset.held_back=5"],
            r"dataset.held_back=5 divides the splits of train: test must be \[\], and train not, got \['t",
        ),
        (
            ["dataset=rsicd", "dataset.root=x", "dataset.longest=0"],
            r"dataset.longest must be at least 1, got 0",
        ),
    ],
)
def test_wrong_values_are_refused_by_name(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config("task=captioning", *overrides)


def sharded(rank=0, folder=None):
    """Captions of a model in parts, of which one process has more to say than the other."""
    fsdp = ("trainer.strategy=fsdp",) if folder is not None else ()
    engine = make_engine(*TINY, "dataset.images=52", *fsdp)
    learner = engine.learner
    learner.objective.measured_at_once = 3
    return measured(learner.evaluated, learner.objective, engine.data.test, engine.fabric)


@pytest.mark.slow
def test_a_model_in_parts_says_what_a_whole_one_does(tmp_path):
    whole = sharded()
    for found in in_two_processes(sharded, tmp_path):
        assert found == pytest.approx(whole)
