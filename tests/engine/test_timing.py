"""Times and memory: parts add up, and are of the run, not of its last piece."""

import time

import pytest

from bls_bench.engine.loop import Engine
from bls_bench.system.clock import PARTS, Clock
from tests.helpers import stop_at, train


def slow(seconds):
    for item in range(3):
        time.sleep(seconds)
        yield item


def test_only_the_wait_for_an_item_counts_as_data():
    clock = Clock()
    for _ in clock.waiting(slow(0.02)):
        time.sleep(0.05)
    assert 0.06 <= clock.seconds["data"] < 0.14


def test_parts_lie_within_the_whole(tmp_path):
    started = time.perf_counter()
    result, lines = train(tmp_path, "pruner=bls_seta")
    wall = time.perf_counter() - started
    for line in lines:
        assert all(line[f"{part}_seconds"] >= 0 for part in PARTS)
        assert line["data_seconds"] + line["compile_seconds"] < line["train_seconds"]
        assert line["samples_per_second"] == pytest.approx(line["trained"] / line["train_seconds"])
    assert result["train_seconds"] == pytest.approx(sum(line["train_seconds"] for line in lines))
    assert result["train_seconds"] + result["select_seconds"] + result["eval_seconds"] < wall
    # One thread computes: it cannot have more CPU time than there was time, and it has waited little.
    busy = result["train_seconds"] + result["select_seconds"]
    assert 0 < result["cpu_seconds"] < 1.1 * busy + 0.1
    assert result["samples_per_second"] == pytest.approx(result["samples_trained"] / result["train_seconds"])
    assert 100 < result["peak_memory_mib"] < 100_000


def test_an_interrupted_epoch_counts_both_its_pieces(tmp_path, monkeypatch):
    learn = Engine._learn

    def slow_step(self, *batch):
        time.sleep(0.05)
        learn(self, *batch)

    monkeypatch.setattr(Engine, "_learn", slow_step)
    stop_at(3, tmp_path)
    _, lines = train(tmp_path)
    assert lines[0]["train_seconds"] >= 4 * 0.05
