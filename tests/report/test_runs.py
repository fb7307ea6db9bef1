"""Records read back, and what is said of those that are unfit."""

import json
from pathlib import Path

import pytest
import yaml

from bls_bench.records import run as records
from bls_bench.report import runs
from bls_bench.report.runs import Runs
from bls_bench.system.errors import InputError
from tests.report.helpers import write_record

CONF = Path(__file__).parents[2] / "conf"


def test_the_schema_is_that_of_the_records():
    assert runs.SCHEMA == records.SCHEMA


def test_a_run_is_read(tmp_path):
    write_record(tmp_path, "a", 78.0, pruned=30.0, seconds=7.0)
    run = Runs(tmp_path).get("a")
    assert (run.accuracy, run.accuracy_best, run.pruned_percent, run.seconds) == (78.0, 78.5, 30.0, 7.0)
    assert run.correlation == 0.25


def test_the_correlation_is_the_mean_over_the_last_half(tmp_path):
    folder = write_record(tmp_path, "a", 78.0, epochs=5)
    values = (None, 0.9, 0.1, None, 0.3)
    lines = [
        {"accuracy": None, "pruned_percent_epoch": 0.0, "score_loss_spearman": value} for value in values
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Runs(tmp_path).get("a").correlation == pytest.approx(0.2)


@pytest.mark.parametrize("pruner", ["none", "random", "static_el2n", "static_random", "proxy_topk"])
def test_no_correlation_is_told_of_scores_that_nobody_used(tmp_path, pruner):
    target = yaml.safe_load((CONF / "pruner" / f"{pruner}.yaml").read_text())["_target_"]
    folder = write_record(tmp_path, "a", 78.0)
    config = yaml.safe_load((folder / "config.yaml").read_text()) | {"pruner": {"_target_": target}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert Runs(tmp_path).get("a").correlation is None


def test_a_scoring_run_is_part_of_the_time(tmp_path):
    write_record(tmp_path, "a", 78.0, seconds=7.0, scoring_seconds=5.0, pruned_percent_with_scoring=-20.0)
    run = Runs(tmp_path).get("a")
    assert (run.seconds, run.pruned_percent_with_scoring) == (12.0, -20.0)


def test_a_run_that_is_not_over_is_missing_and_no_problem(tmp_path):
    (write_record(tmp_path, "a", 78.0) / "result.json").unlink()
    found = Runs(tmp_path)
    assert found.get("a") is found.get("never started") is None
    assert found.problems == []


def cut_result(folder):
    text = (folder / "result.json").read_text()
    (folder / "result.json").write_text(text[: len(text) // 2])


def cut_metrics(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text(lines[0])


def cut_line(folder):
    text = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(text[:-20])


def lose_environment(folder):
    (folder / "environment.jsonl").unlink()


def change(name, **fields):
    """Damage by hand: fields of the first line of a file get another value, or go if that is `...`."""

    def damage(folder):
        first, *rest = (folder / name).read_text().splitlines()
        whole = name == "result.json"
        content = json.loads((folder / name).read_text() if whole else first) | fields
        kept = {key: value for key, value in content.items() if value is not ...}
        (folder / name).write_text("\n".join([json.dumps(kept), *([] if whole else rest)]) + "\n")

    return damage


def put(name, text):
    return lambda folder: (folder / name).write_text(text)


def rename(folder):
    folder.rename(folder.with_name("bad")).joinpath("result.json").write_text(
        json.dumps({"schema": 1, "key": "another", "status": "finished"})
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_result, "result.json is cut short"),
        (cut_metrics, "metrics.jsonl is cut short: 1 of 2 epochs"),
        (cut_line, "metrics.jsonl is cut short or not JSON"),
        (lose_environment, "environment.jsonl cannot be read"),
        (rename, "result.json is of run another"),
        (put("result.json", "[]"), "result.json is of no JSON object a line"),
        (change("result.json", accuracy_last=...), "result.json does not say accuracy_last as it should"),
        (change("result.json", accuracy_last=None), "result.json does not say accuracy_last as it should"),
        (change("result.json", accuracy_last=float("nan")), "result.json does not say accuracy_last"),
        (change("result.json", train_seconds="2", epochs="2"), "does not say epochs, train_seconds as it"),
        (change("metrics.jsonl", accuracy=...), "metrics.jsonl does not say accuracy as it should"),
        (put("environment.jsonl", ""), "environment.jsonl is empty"),
        (change("environment.jsonl", threads=None, torch=...), "does not say torch, threads as it should"),
        (put("load.json", '{"lo'), "load.json is cut short or not JSON"),
        (put("load.json", ""), "load.json is cut short or not JSON"),
        (put("load.json", "{}"), "load.json does not say load as it should"),
        (put("config.yaml", ""), "config.yaml is not the whole config of a run"),
        (put("config.yaml", "pruner: {_target_: a"), "config.yaml is not the whole config of a run"),
        (put("config.yaml", "pruner: {_target_: a}\n"), "config.yaml is not the whole config of a run"),
    ],
)
def test_a_damaged_record_is_named_and_the_others_are_read(tmp_path, damage, words):
    write_record(tmp_path, "good", 78.0)
    damage(write_record(tmp_path, "bad", 77.0))
    found = Runs(tmp_path)
    assert found.get("bad") is None
    assert found.get("good").accuracy == 78.0
    assert len(found.problems) == 1
    assert words in found.problems[0]
    assert str(tmp_path / "bad") in found.problems[0]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"schema": 99}, "has schema 99, this version reads 1"),
        ({"status": "failed", "error": "loss is nan"}, "tells of a failed run: loss is nan"),
    ],
)
def test_a_record_that_is_of_no_use_is_named(tmp_path, result, words):
    folder = write_record(tmp_path, "a", 78.0, **result)
    with pytest.raises(InputError, match=words) as error:
        runs.read(folder)
    assert str(folder / "result.json") in str(error.value)


def test_two_records_of_one_key_must_agree_in_all_but_times(tmp_path):
    write_record(tmp_path / "one", "same", 78.0, seconds=5.0)
    write_record(tmp_path / "two", "same", 78.0, seconds=6.0)
    write_record(tmp_path / "one", "differs", 78.0)
    write_record(tmp_path / "two", "differs", 78.1)
    found = Runs(tmp_path)
    assert found.get("same").accuracy == 78.0
    assert found.get("differs") is None
    (problem,) = found.problems
    assert str(tmp_path / "one" / "differs") in problem
    assert str(tmp_path / "two" / "differs") in problem


def test_a_time_counts_only_where_the_run_is_known_to_have_been_alone(tmp_path):
    write_record(tmp_path, "alone", 78.0, load=1.4)
    write_record(tmp_path, "shared", 78.0, load=1.6)
    write_record(tmp_path, "unknown", 78.0)
    resumed = write_record(tmp_path, "resumed", 78.0, load=1.0)
    environment = (resumed / "environment.jsonl").read_text()
    (resumed / "environment.jsonl").write_text(2 * environment)
    found = Runs(tmp_path)
    assert [found.get(key).alone for key in ("alone", "shared", "unknown", "resumed")] == [
        True,
        False,
        False,
        False,
    ]
