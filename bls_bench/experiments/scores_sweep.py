"""Train what `scores-matter` lacks: many small runs in one process, without a record of each.

The engine trains them as it trains any run; a run of a tenth of a second would take as long again to write
its folder, so that what is kept is a line a cell (`bls_bench.records.cells`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

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


def run(grid: Grid, wanted: Sequence[Cell], seeds: Sequence[int], path: Path) -> Iterator[str]:
    """Train the runs of the cells that the file at `path` lacks; yields a line of text a cell.

    A cell whose data are not there is left out, and told so. Raises Interrupted after a signal; the cells
    that are done are written, and the same call goes on.
    """
    lines, _ = cells.read(path)
    where: dict[str, Any] = {}
    for number, cell in enumerate(wanted, start=1):
        config = load(composed(arguments(grid.overrides(cell) | {"logger": "none"}))).with_seed(0)
        there = {seed for line in lines if line.key == config.key for seed in line.seeds}
        missing = [seed for seed in seeds if seed not in there]
        if not missing:
            continue
        where = where or environment("cpu", 1)
        started = time.process_time()
        told = f"{number}/{len(wanted)} {' '.join(cell.names.values())}"
        try:
            results = [trained(config.with_seed(seed)) for seed in missing]
        except InputError as error:
            yield f"{told}: left out, {one_line(error)}"
            continue
        seconds = time.process_time() - started
        values = {name: [result[name] for result in results] for name in results[0]}
        cells.append(
            path,
            cells.CellLine(
                key=config.key,
                cell=cell.names,
                seeds=missing,
                values=values,
                environment=where,
                cpu_seconds=round(seconds, 2),
            ),
        )
        accuracy = fmean(value for value in values["balanced_accuracy"] if value is not None)
        yield f"{told}: {accuracy:.2f} in {seconds:.0f} s"


def trained(config: Config) -> dict[str, float | None]:
    """Train a run; returns what is kept of it, rounded to what matters."""
    fabric = make_fabric(config.trainer)
    data = config.arranged(_read(config.dataset, fabric.device))
    engine = Engine(config, data, fabric)
    with StopSignal() as stop:
        result = engine.fit(None, Tracker(), stop)
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
