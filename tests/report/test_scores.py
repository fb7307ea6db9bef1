"""`scores-matter`: the grid, and effects paired by seed."""

import re
from copy import deepcopy
from dataclasses import replace
from itertools import product
from statistics import fmean, stdev

import numpy as np
import pytest
from PIL import Image

from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.experiments import scores_sweep
from bls_bench.experiments.scores import Cell, load
from bls_bench.records.cells import CellLine, append
from bls_bench.records.cells import read as read_cells
from bls_bench.records.tracking import Tracker
from bls_bench.report import scores
from bls_bench.system.errors import InputError
from bls_bench.system.stopping import StopSignal
from bls_bench.tasks.classification.digits import Digits
from tests.helpers import make_config

GRID = load()
GPU = load("gpu")
CELL = Cell("tail50", "mlp", "selective_backprop", 50, "kalman")
VALUES = {"random": [50.0, 52.0, 51.0], "per_sample": [60.0, 63.0, 60.0], "kalman": [55.0, 56.0, 56.0]}


def lines():
    return [
        CellLine(
            key=name,
            cell=CELL._replace(scorer=name).names,
            seeds=[0, 1, 2],
            values={"balanced_accuracy": values},
            environment={},
            cpu_seconds=1.0,
        )
        for name, values in VALUES.items()
    ]


@pytest.mark.parametrize("grid", [GRID, GPU], ids=["digits", "gpu"])
def test_every_cell_has_its_control_and_its_names(grid):
    for cell in grid.cells:
        assert grid.control(cell) in grid.cells, cell
        assert "pruner.target" in grid.overrides(cell)
        assert grid.overrides(cell)["dataset.augment"] is False  # so that all seeds have the same data
    assert len(set(grid.cells)) == len(grid.cells)


def test_each_scale_has_files_of_its_own_and_no_other_is_there(tmp_path):
    assert [grid.stem for grid in (GRID, GPU)] == ["scores-matter", "scores-matter.gpu"]
    assert GPU.records(tmp_path) == tmp_path / "scores" / "cells.gpu.jsonl"
    with pytest.raises(InputError, match="SCALE=small is none of scores-matter, which has digits and gpu"):
        load("small")


def test_a_method_that_weighs_each_loss_has_a_control_that_does():
    weighed = CELL._replace(pruner="repb")
    assert GRID.control(weighed).scorer == "random"
    assert GRID.control(weighed._replace(scorer="per_sample")).scorer == "random_per_sample"
    assert GRID.control(CELL._replace(scorer="per_sample")).scorer == "random"


def test_the_most_telling_cells_come_first():
    assert {cell[:4] for cell in GRID.cells[:10]} == {("tail50", "mlp", "selective_backprop", 50)}


def test_effects_are_paired_by_seed():
    measured = scores.Measured(lines())
    found = measured.effect(CELL, GRID.control(CELL))
    differences = [a - b for a, b in zip(VALUES["kalman"], VALUES["random"], strict=True)]
    assert found.difference == pytest.approx(fmean(differences))
    assert (found.high - found.low) / 2 == pytest.approx(4.3027 * stdev(differences) / 3**0.5, rel=1e-3)
    assert scores.share_of_ceiling(GRID, measured, CELL) == pytest.approx(fmean(differences) / 10)


def test_the_finding_tells_three_scores_with_their_intervals():
    bls = CellLine(**{**vars(lines()[2]), "key": "bls7", "cell": CELL._replace(scorer="bls7").names})
    told = scores.finding(GRID, scores.Measured([*lines(), bls]))
    assert "Selective-Backprop, 50% pruned, MLP" in told
    assert "Kalman +4.67 [+3.23, +6.10] (n=3), BLS 0.7 +4.67" in told
    assert scores.finding(GRID, scores.Measured(lines())) == ""


def test_lines_of_an_older_key_do_not_count():
    newer = CellLine(**{**vars(lines()[2]), "key": "newer", "values": {"balanced_accuracy": [1.0, 1.0, 1.0]}})
    assert scores.Measured([*lines(), newer]).values(CELL) == {0: 1.0, 1: 1.0, 2: 1.0}


def test_table_and_figure_are_rendered_from_what_there_is(tmp_path):
    for line in lines():
        append(tmp_path / "scores" / "cells.jsonl", line)
    assert scores.render(GRID, tmp_path) == []
    text = (tmp_path / "tables" / "scores-matter.md").read_text()
    assert "| Kalman | **+4.67 ± 1.43 (47%)** |" in text
    assert (tmp_path / "figures" / "scores-matter.png").stat().st_size > 5000


def test_a_sweep_trains_what_is_missing_and_leaves_out_what_has_no_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    epochs = {"trainer.epochs": 4, "trainer.eval_every": 4}
    quick = replace(GRID, common=GRID.common | epochs)
    wanted = [CELL, CELL._replace(setting="cifar_tail", model="cnn")]
    path = tmp_path / "scores" / "cells.jsonl"
    own, other = scores_sweep.run(quick, wanted, [0, 1], path)
    assert re.fullmatch(r"1/2 tail50 mlp selective_backprop 50 kalman: \d+\.\d\d in \d+ s", own)
    assert other.startswith("2/2 cifar_tail cnn selective_backprop 50 kalman: left out, ")
    assert "data/cifar10-jpeg" in other
    assert len([*scores_sweep.run(quick, wanted[:1], [0, 1, 2], path)]) == 1
    assert [*scores_sweep.run(quick, wanted[:1], [2, 0], path)] == []
    lines, problems = read_cells(path)
    assert problems == []
    assert [line.seeds for line in lines] == [[0, 1], [2]]
    assert lines[0].cell == CELL.names
    assert all(0 <= value <= 100 for line in lines for value in line.values["balanced_accuracy"])


def engine(config):
    return Engine(config, config.load_data(), make_fabric(config.trainer))


def test_runs_read_their_data_once_and_learn_what_each_would_alone(monkeypatch):
    read = []

    def counted(dataset, seed, device=None, load=Digits.load):
        read.append(seed)
        return load(dataset, seed, device)

    monkeypatch.setattr(Digits, "load", counted)
    quick = GRID.overrides(CELL) | {"trainer.epochs": 4, "trainer.eval_every": 4, "dataset.imbalance": 30}
    config = make_config(*(f"{key}={value}" for key, value in quick.items()))
    seeds = range(3)
    shared = [scores_sweep.trained(config.with_seed(seed)) for seed in seeds]
    assert len(read) == 1
    alone = [engine(config.with_seed(seed)).fit(None, Tracker(), StopSignal()) for seed in seeds]
    assert [run["balanced_accuracy"] for run in shared] == [
        round(run["balanced_accuracy_last"], 4) for run in alone
    ]


@pytest.mark.slow  # it starts processes
def test_cells_at_a_time_learn_what_they_do_one_after_the_other(tmp_path):
    quick = replace(GRID, common=GRID.common | {"trainer.epochs": 4, "trainer.eval_every": 4})
    wanted = [CELL, CELL._replace(scorer="random")]
    values = []
    for jobs in (1, 2):
        path = tmp_path / str(jobs) / "cells.jsonl"
        assert len([*scores_sweep.run(quick, wanted, [0, 1], path, jobs)]) == 2
        values.append({line.cell["scorer"]: line.values for line in read_cells(path)[0]})
    assert values[0] == values[1]


def test_the_grid_for_a_gpu_trains_where_there_is_none(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for part, name in product(("train", "test"), ("cat", "dog")):
        folder = tmp_path / "data" / "cifar10-jpeg" / part / name
        folder.mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.jpg")
    monkeypatch.chdir(tmp_path)
    quick = {"trainer.epochs": 4, "trainer.eval_every": 4, "trainer.batch_size": 4}
    grid = replace(GPU, common=GPU.common | quick, names=deepcopy(GPU.names))
    cell = grid.cells[0]._replace(setting="photos_noise")
    grid.names["settings"]["photos_noise"]["overrides"]["dataset.subset"] = 8
    (told,) = scores_sweep.run(grid, [cell], [0], grid.records(tmp_path))
    assert re.fullmatch(r"1/1 photos_noise resnet9 selective_backprop 50 random: \d+\.\d\d in \d+ s", told)
    assert scores.render(grid, tmp_path) == []
    assert "`make scores-matter SCALE=gpu`" in scores.page(grid, tmp_path).read_text()
