"""Train what `scores-matter` lacks: many small runs in few processes, without a record of each.

The engine trains them as it trains any run; a run of a tenth of a second would take as long again to write
its folder, so that what is kept is a line a cell (`bls_bench.records.cells`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import joblib

from bls_bench.config.compose import composed
from bls_bench.config.run import Config, load
from bls_bench.data.base import Data, Dataset
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.experiments.scores import Cell, Grid
from bls_bench.experiments.sweep import arguments
from bls_bench.records import cells
from bls_bench.records.run import environment
from bls_bench.records.tracking import Tracker
from bls_bench.refusals import one_line
from bls_bench.system.errors import InputError
from bls_bench.system.stopping import StopSignal

if TYPE_CHECKING:
    import torch

# Of an epoch's metrics: what is kept, as the mean over the epochs that have it.
CURVES = {"score_loss": "score_loss_spearman", "score_absence": "score_absence_spearman"}


def run(grid: Grid, wanted: Sequence[Cell], seeds: Sequence[int], path: Path, jobs: int = 1) -> Iterator[str]:
    """Train the runs of the cells that the file at `path` lacks; yields a line of text a cell.

    jobs: processes that train a cell each, with their share of the cores; -1: as many as there are cores.
    A cell whose data are not there is left out, and told so. Cells that are done are written: after an
    exception, which ends the processes, the same call goes on.
    """
    # They are composed as they are wanted, and come as they are done.
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    for told, line in parallel(joblib.delayed(_line)(*work) for work in _missing(grid, wanted, seeds, path)):
        if line is not None:
            cells.append(path, line)
        yield told


def _missing(
    grid: Grid, wanted: Sequence[Cell], seeds: Sequence[int], path: Path
) -> Iterator[tuple[str, Cell, Config, list[int]]]:
    """Yield what to tell of each cell that lacks seeds, the cell, its config with seed 0, and those seeds."""
    lines, _ = cells.read(path)
    for number, cell in enumerate(wanted, start=1):
        config = load(composed(arguments(grid.overrides(cell) | {"logger": "none"}))).with_seed(0)
        there = {seed for line in lines if line.key == config.key for seed in line.seeds}
        missing = [seed for seed in seeds if seed not in there]
        if missing:
            yield f"{number}/{len(wanted)} {' '.join(cell.names.values())}", cell, config, missing


def _line(told: str, cell: Cell, config: Config, seeds: list[int]) -> tuple[str, cells.CellLine | None]:
    """Train the runs of a cell; returns what to tell, and what was measured unless its data are missing."""
    started = time.process_time()
    try:
        device = make_fabric(config.trainer).device.type
        results = [trained(config.with_seed(seed)) for seed in seeds]
    except InputError as error:
        return f"{told}: left out, {one_line(error)}", None
    seconds = time.process_time() - started
    values = {name: [result[name] for result in results] for name in results[0]}
    accuracy = fmean(value for value in values["balanced_accuracy"] if value is not None)
    line = cells.CellLine(
        key=config.key,
        cell=cell.names,
        seeds=seeds,
        values=values,
        environment=environment(device, 1),
        cpu_seconds=round(seconds, 2),
    )
    return f"{told}: {accuracy:.2f} in {seconds:.0f} s", line


def trained(config: Config) -> dict[str, float | None]:
    """Train a run; returns what is kept of it, rounded to what matters."""
    fabric = make_fabric(config.trainer)
    data = config.arranged(_read(config.dataset, fabric.device))
    engine = Engine(config, data, fabric)
    result = engine.fit(None, Tracker(), StopSignal())
    found = {name: result[f"{name}_last"] for name in ("balanced_accuracy", "accuracy")}
    found["pruned_percent"] = result["pruned_percent"]
    for name, curve in CURVES.items():
        column = [line[curve] for line in engine.history if line[curve] is not None]
        found[name] = fmean(column) if column else None
    return {name: None if value is None else round(value, 4) for name, value in found.items()}


@lru_cache(maxsize=1)
def _read(dataset: Dataset, device: torch.device) -> Data:
    """Return the data of a cell, which are read once for the cells in line that have the same.

    A run's seed decides the augmentation, nothing else, and no run here has one.
    """
    return dataset.load(0, device)
