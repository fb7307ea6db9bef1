"""Records read back, and what is said of those that are unfit."""

import json

import pytest

from bls_bench import records
from bls_bench.errors import InputError
from bls_bench.report import runs
from bls_bench.report.runs import Runs
from tests.report.helpers import write_record


def test_the_schema_is_that_of_the_records():
    assert runs.SCHEMA == records.SCHEMA


def test_a_run_is_read(tmp_path):
    write_record(tmp_path, "a", 78.0, pruned=30.0, seconds=7.0)
    run = Runs(tmp_path).get("a")
    assert (run.accuracy, run.accuracy_best, run.pruned_percent, run.seconds) == (78.0, 78.5, 30.0, 7.0)
    assert run.correlation == 0.25


def test_the_correlation_is_the_mean_over_the_last_half(tmp_path):
    folder = write_record(tmp_path, "a", 78.0, epochs=5)
    lines = [{"accuracy": 1.0, "score_loss_spearman": value} for value in (None, 0.9, 0.1, None, 0.3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Runs(tmp_path).get("a").correlation == pytest.approx(0.2)


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
