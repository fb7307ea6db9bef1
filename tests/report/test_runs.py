"""Runs read from an archive: what is told of them, and what damage costs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bls_bench.records.archive import EPOCHS, RUNS, Archive
from bls_bench.records.schema import Metric
from bls_bench.report.runs import Runs
from tests.report.helpers import archived, write_record


def test_what_a_run_tells(tmp_path):
    write_record(tmp_path, "a", 78.0, pruned=30.0, seconds=7.0, cpu_seconds=8.0)
    run = Runs(tmp_path).get("a")
    assert (run.last, run.best, run.pruned_percent, run.cpu_seconds) == (78.0, 78.5, 30.0, 8.0)
    assert (run.correlation, run.losses, run.metric.name) == (0.25, None, "accuracy")


def test_it_is_told_by_the_first_of_its_metrics(tmp_path):
    mse, psnr = Metric("mse", "lower"), Metric("psnr", "higher", "dB", 0.1)
    both = [metric._asdict() for metric in (mse, psnr)]
    curves = {"psnr": [19.0, 20.0]}
    write_record(tmp_path, "a", 0.25, metric=mse, metrics=both, psnr_last=20.0, psnr_best=21.0, curves=curves)
    run = Runs(tmp_path).get("a")
    assert (run.metric, run.last, run.best) == (mse, 0.25, 0.75)


def test_fields_that_are_newer_than_the_report_do_no_harm(tmp_path):
    write_record(tmp_path, "a", cpu_seconds=3.0, curves={"score_absence_spearman": [None, 0.1]})
    assert Runs(tmp_path).get("a").correlation == 0.25


def test_the_correlation_is_the_mean_over_the_last_half(tmp_path):
    curves = {
        "accuracy": [None] * 5,
        "pruned_percent_epoch": [0.0] * 5,
        "score_loss_spearman": [None, 0.9, 0.1, None, 0.3],
    }
    write_record(tmp_path, "a", epochs=5, curves=curves)
    assert Runs(tmp_path).get("a").correlation == pytest.approx(0.2)


def test_no_correlation_is_told_of_scores_that_nobody_used(tmp_path):
    write_record(tmp_path, "a", uses_scores=False)
    assert Runs(tmp_path).get("a").correlation is None


def test_a_scoring_run_is_part_of_the_time(tmp_path):
    scoring = {"scoring_seconds": 5.0, "pruned_percent_with_scoring": -20.0}
    write_record(tmp_path, "a", cpu_seconds=7.0, scoring_cpu_seconds=6.0, **scoring)
    write_record(tmp_path, "half known", cpu_seconds=7.0, **scoring)
    found = Runs(tmp_path)
    assert (found.get("a").cpu_seconds, found.get("a").pruned_percent_with_scoring) == (13.0, -20.0)
    assert found.get("half known").cpu_seconds is None


def test_a_run_that_is_not_there_is_missing_and_no_problem(tmp_path):
    write_record(tmp_path, "a")
    assert Runs(tmp_path).get("never started") is None
    assert Runs(tmp_path).problems == Runs(tmp_path / "nowhere").problems == []


@pytest.mark.parametrize("name", [RUNS, EPOCHS])
def test_a_damaged_line_is_named_and_costs_its_own_run_only(tmp_path, name):
    for key in ("good", "bad"):
        write_record(tmp_path, key)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace('"bad"', '"bed"'))
    found = Runs(tmp_path)
    assert found.get("bad") is None
    assert found.get("good").last == 78.0
    assert f"{tmp_path / name}, line 2: damaged" in found.problems[0]


def test_contradicting_lines_are_named_once_and_cost_their_run_only(tmp_path):
    for key, value in (("good", 78.0), ("bad", 77.0), ("bad", 77.1)):
        write_record(tmp_path, key, value)
    found = Runs(tmp_path)
    assert [found.get("bad"), found.get("bad"), found.get("good").last] == [None, None, 78.0]
    assert found.problems == [
        f"{tmp_path / RUNS}, lines 2 and 3: they contradict each other on run bad: delete the wrong one"
    ]


@pytest.mark.parametrize("damage", [lambda data: data[:500], lambda data: b"", lambda data: b"no array"])
def test_losses_cut_short_are_named(tmp_path, damage):
    write_record(tmp_path, "a")
    file = tmp_path / "losses" / "a.npy"
    file.parent.mkdir()
    np.save(file, np.zeros((2, 2, 100), np.float32))
    assert Runs(tmp_path).get("a").losses.shape == (2, 2, 100)
    file.write_bytes(damage(file.read_bytes()))
    found = Runs(tmp_path)
    assert found.get("a") is None
    assert found.problems == [f"{file} is cut short or of another run: delete it to train the run again"]


def test_cpu_seconds_are_told_of_what_ran_on_a_cpu(tmp_path):
    write_record(tmp_path, "old")
    write_record(tmp_path, "new", cpu_seconds=3.0)
    run = archived("gpu", cpu_seconds=3.0)
    Archive(tmp_path).append(replace(run, environments=[run.environments[0] | {"device": "cuda"}]))
    found = Runs(tmp_path)
    assert [found.get(key).cpu_seconds for key in ("old", "new", "gpu")] == [None, 3.0, None]


def test_every_line_of_an_archive_is_json_for_other_readers(tmp_path):
    write_record(tmp_path, "a", load=1.0)
    (line,) = (tmp_path / RUNS).read_text().splitlines()
    assert json.loads(line).keys() == {"sum", "key", "config", "environments", "result", "load"}
