"""A task that is no classification: its metric is better when lower, and a batch has one loss."""

import json
import re

import pytest
import torch

from bls_bench.records.schema import Metric
from tests.helpers import (
    BATCH_LOSS_TASK,
    CPU,
    StopAt,
    make_engine,
    same_weights,
    stop_at,
    train,
    without_times,
)
from tests.plugin import SquaredError

from .helpers import last_record, learn, parts_of

BLS = (*BATCH_LOSS_TASK, "pruner=bls_infobatch", "trainer.epochs=4", "optimizer.lr=0.01")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run: its records, result and epochs."""
    records = tmp_path_factory.mktemp("whole")
    return records, *train(records, *BLS)


def test_the_best_value_is_the_lowest(whole):
    _, result, lines = whole
    errors = [line["error"] for line in lines]
    assert len(set(errors)) > 1
    assert result["error_last"] == errors[-1]
    assert result["error_best"] == min(errors) < max(errors)
    assert result["best_epoch"] == errors.index(min(errors))
    assert result["metrics"] == [{"name": "error", "better": "lower", "unit": "", "margin": None}]
    assert not any("accuracy" in key for key in (*result, *lines[0]))


def test_it_is_told_without_a_percent_sign(whole, capsys):
    records, result, _ = whole
    train(records, *BLS)
    last, best = (f"{result[key]:.4g}" for key in ("error_last", "error_best"))
    assert f"already finished: error {last} (best {best}), pruned " in capsys.readouterr().out


def test_each_epoch_is_told_so_too(tmp_path, capsys):
    _, lines = train(tmp_path, *BATCH_LOSS_TASK, "scorer=bls", "trainer.epochs=1")
    told = re.search(r"epoch   1/1  loss (\S+)  error (\S+)  kept 100", capsys.readouterr().out)
    assert told.groups() == (f"{lines[0]['loss']:.4f}", f"{lines[0]['error']:.4g}")


@pytest.mark.parametrize(
    ("metric", "value", "text", "best"),
    [
        (Metric("accuracy", "higher", "%"), 12.345, "12.35%", 1),
        (Metric("bound", "lower", "nats"), 81.23456, "81.23 nats", 2),
        (Metric("error", "lower"), 0.000123456, "0.0001235", 2),
    ],
)
def test_a_metric_knows_its_unit_and_which_way_is_up(metric, value, text, best):
    assert metric.text(value) == text
    assert metric.best([2.0, 3.0, 1.0, 3.0, 1.0]) == best


def test_what_is_measured_is_of_the_whole_split():
    engine = make_engine(*BLS)
    model, test = engine.learner.model.module.eval(), engine.data.test
    (batch,) = test.batches([torch.arange(len(test))], 0, CPU)
    with torch.no_grad():
        expected = SquaredError("error").values(model, batch).double().mean()
    assert engine.measured() == {"error": pytest.approx(float(expected))}


def test_the_parts_of_the_loss_are_recorded_each_batch_by_its_samples(whole):
    engine = make_engine(*BLS)
    batches = engine._batches(engine.state.begin_epoch())
    sizes, parts = [len(batch.indices) for batch in batches], []
    loss = engine.learner.objective.loss

    def noted(*given):
        found = loss(*given)
        parts.append({name: float(value) for name, value in found.parts.items()})
        return found

    engine.learner.objective.loss = noted
    given = parts_of(engine, *batches)
    for batch in batches:
        engine._learn(batch, given)
        engine.done += 1
    assert sizes == [32, 32, 32, 4]
    found = engine._parts.means(engine.fabric)
    for name in ("distance", "size"):
        mean = sum(part[name] * size for part, size in zip(parts, sizes, strict=True)) / 100
        assert found[f"loss_{name}"] == pytest.approx(mean)
    for line in whole[2]:
        assert line["loss_distance"] + line["loss_size"] == pytest.approx(line["loss"], rel=1e-5)


def test_in_parts_the_loss_of_a_batch_is_the_mean_over_its_samples():
    engine = make_engine(*BLS, "trainer.accumulate=4")
    batch, values = engine._batches(engine.state.begin_epoch())[0], []
    loss = engine.learner.objective.loss

    def noted(*given):
        found = loss(*given)
        values.append(float(found.value.detach()))
        return found

    engine.learner.objective.loss = noted
    learn(engine, batch)
    assert len(values) == 4
    assert float(last_record(engine)[1]) == pytest.approx(sum(values) / 4)


@pytest.mark.parametrize("steps", [3, 6])
def test_stop_and_resume_find_the_objectives_own_state_and_noise_again(steps, whole, tmp_path):
    records, result, lines = whole
    stop_at(steps, tmp_path, *BLS)
    torch.manual_seed(99)
    again, again_lines = train(tmp_path, *BLS)
    assert without_times(again_lines) == without_times(lines)
    assert without_times(again) == without_times(result)
    assert same_weights(records, tmp_path)


def test_the_objectives_state_is_in_the_checkpoint():
    engine = make_engine(*BLS)
    engine.epoch(None, StopAt(-1))
    state = engine.learner.state_dict()["objective"]
    assert state["level"] > 0
    other = make_engine(*BLS)
    other.learner.load_state_dict(engine.learner.state_dict())
    assert torch.equal(other.learner.objective.level, engine.learner.objective.level)


@pytest.mark.parametrize("pruner", ["none", "infobatch", "seta", "repb", "ucb", "static_random"])
def test_it_trains_under_every_kind_of_pruner(pruner, tmp_path):
    result, lines = train(tmp_path, *BATCH_LOSS_TASK, f"pruner={pruner}", "scorer=bls", "optimizer.lr=0.01")
    assert result["status"] == "finished"
    assert all(line["score_loss_spearman"] is None for line in lines)
    if pruner != "none":
        assert result["pruned_percent"] > 0


def test_the_record_says_which_way_is_up(whole):
    (path,) = whole[0].glob("*/result.json")
    assert json.loads(path.read_text())["metrics"][0]["better"] == "lower"
