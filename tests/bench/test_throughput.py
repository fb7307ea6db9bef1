"""What is timed is what was asked for; that one is faster than the other is no law."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from bls_bench.bench.throughput import (
    Setting,
    engine,
    engine_input,
    in_turn,
    plain,
    plain_input,
    write_images,
)

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_train.py"


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    write_images(root, 60)
    return Setting(str(root), images=60, batch_size=32)


@pytest.mark.parametrize("part", [engine, lambda setting: plain(setting, workers=0)])
def test_an_epoch_has_all_images_and_its_parts_add_up(part, setting):
    (timing,) = part(setting)
    assert timing.images == 60
    assert 0 < timing.data + timing.select < timing.seconds


@pytest.mark.parametrize("part", [engine_input, plain_input])
def test_the_input_alone_is_whole_epochs(part, setting, monkeypatch):
    monkeypatch.setattr("bls_bench.bench.throughput.INPUT_SECONDS", 0.05)
    (timing,) = part(setting)
    assert timing.images % 60 == 0
    assert timing.data == timing.seconds >= 0.05


def test_what_is_compared_are_epochs_at_the_asked_rate_that_do_not_anneal(setting):
    timings = in_turn(setting, ["none", "random pruner.prune_ratio=0.5"], epochs=2)
    full, pruned = timings.values()
    assert [timing.images for timing in full] == [60, 60]
    assert [timing.images for timing in pruned] == [30, 30]


def test_what_is_saved_is_printed_beside_what_was_pruned(setting, capsys, monkeypatch):
    arguments = ["--images=60", "--batch-size=32", "--repeats=0", "--pairs=2"]
    arguments += [f"--dataset-root={setting.dataset_root}", "--pruner=random pruner.prune_ratio=0.5"]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr().out
    assert "2 pairs of epochs: 50.0% pruned" in printed
    assert "saved / pruned" in printed


def test_the_saving_is_that_of_the_seconds(capsys):
    report_saving = runpy.run_path(str(SCRIPT))["report_saving"]
    Timing = runpy.run_path(str(SCRIPT))["Timing"]
    timings = {
        "none": [Timing(100, seconds, 0.0) for seconds in (10.0, 12.0, 11.0)],
        "random": [Timing(60, seconds, 0.0) for seconds in (6.3, 7.0, 6.5)],
    }
    report_saving("random", timings)
    printed = capsys.readouterr().out
    assert "40.0% pruned, 40.0% of the time saved (33.0 s, 19.8 s)" in printed
    share, low, high = map(float, re.search(r"pruned: (\S+), 95% interval (\S+) to (\S+)", printed).groups())
    assert low < share == 1 < high
