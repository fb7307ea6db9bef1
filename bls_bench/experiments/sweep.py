"""Train what a table lacks, through Hydra's multirun, and note which run belongs to which cell."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from types import FrameType

from hydra.errors import HydraException

from bls_bench.config.compose import composed
from bls_bench.config.run import load
from bls_bench.experiments import manifest
from bls_bench.experiments.manifest import Place, Rule
from bls_bench.experiments.spec import Overrides, Table
from bls_bench.records.archive import Archive
from bls_bench.refusals import one_line
from bls_bench.system.errors import InputError

# The values of each key; all combinations are run.
Sweep = dict[str, tuple[str, ...]]

WORK = ".work"  # the records of runs that are not in the archive yet, below its folder
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(
    table: Table,
    seeds: Iterable[int],
    only: Container[Place] | None = None,
    *,
    results: Path,
    launcher: str,
    rule: Rule | None = None,
) -> list[str]:
    """Train the runs that the archive of the table's scale lacks; returns a line for each that failed.

    only: the cells, by their row's and column's labels, that are given the seeds; None for all. rule: by
    which the seeds come, which the manifest then tells; None keeps the one that is there.
    Raises SystemExit with 128 + n when a sweep is stopped by signal n; the same call then goes on.
    """
    file, folder = manifest.path(results, table.name, table.scale), results / table.scale
    before, rule, wanted = manifest.read(file), rule or manifest.rule(file), set(seeds)
    keys, problems = cell_keys(table, sorted(wanted.union(*before.values())))
    if rule is not None:  # each cell has seeds of its own
        keys = {
            place: {
                seed: key
                for seed, key in runs.items()
                if seed in before.get(place, {}) or (seed in wanted and (only is None or place in only))
            }
            for place, runs in keys.items()
        }
    manifest.write(file, keys, rule)
    cells = {
        key: table_overrides | {"seed": seed}
        for place, table_overrides in _cells(table)
        if only is None or place in only
        for seed, key in keys.get(place, {}).items()
        if seed in wanted
    }
    missing, unfit = lacking(Archive(folder), cells)
    there = len(cells) - len(missing) - len(unfit)
    print(f"{table.name} at SCALE={table.scale}: {there} runs there, {len(missing)} to train", flush=True)
    for sweep in merge(missing.values()):
        _train(sweep, folder, launcher)
    left, unfit = lacking(Archive(folder), cells)
    return [
        *problems,
        *(f"{table.name}: {line}" for line in unfit),
        *(
            f"{table.name}: run {key} ({' '.join(arguments(overrides))}) is {status(folder / WORK / key)}"
            for key, overrides in left.items()
        ),
    ]


def lacking(archive: Archive, cells: dict[str, Overrides]) -> tuple[dict[str, Overrides], list[str]]:
    """Return the runs that are to be trained, and a line for each whose lines in the archive are at odds.

    A run that is to keep its losses, and is there without them, is trained again.
    """
    missing, unfit = {}, []
    for key, overrides in cells.items():
        try:
            finished = archive.result(key) is not None
        except InputError as error:
            unfit.append(str(error))
            continue
        if not finished or (overrides.get("trainer.save_losses") and not archive.losses(key).exists()):
            missing[key] = overrides
    return missing, unfit


def cell_keys(table: Table, seeds: list[int]) -> tuple[manifest.Keys, list[str]]:
    """Return the runs' keys of every cell that can be run, and a line for each config that is refused."""
    keys, problems = {}, []
    judged = {column.label: column.metric for column in table.columns}
    for cell, overrides in _cells(table):
        try:
            config = load(composed(arguments(overrides)))
        except (InputError, HydraException) as error:
            problems.append(f"{table.name}: {cell[0]}, {cell[1]}: {one_line(error)}")
            continue
        metrics = [metric.name for metric in config.task.metrics]
        if judged[cell[1]] not in (None, *metrics):
            told = f"metric {judged[cell[1]]} is none of its task's, which are {', '.join(metrics)}"
            problems.append(f"{table.name}: {cell[0]}, {cell[1]}: {told}")
            continue
        keys[cell] = {seed: config.with_seed(seed).key for seed in seeds}
    return keys, problems


def _cells(table: Table) -> Iterator[tuple[Place, Overrides]]:
    for column in table.columns:
        for row in table.rows:
            overrides = table.overrides(row, column)
            if overrides is not None:
                yield (row.label, column.label), overrides


def merge(cells: Iterable[Overrides]) -> list[Sweep]:
    """Cover the cells by few sweeps, each run exactly once: two that differ in one key become one."""
    sweeps: list[Sweep] = []
    for cell in cells:
        new: dict[str, tuple[str, ...]] = {key: (str(value),) for key, value in cell.items()}
        while (other := next((sweep for sweep in sweeps if _differ(sweep, new)), None)) is not None:
            sweeps.remove(other)
            (key,) = _differ(other, new)
            new = other | {key: other[key] + new[key]}
        sweeps.append(new)
    return sweeps


def _differ(a: Sweep, b: Sweep) -> list[str]:
    """Return the one key in which two sweeps differ; nothing if they cannot become one."""
    if a.keys() != b.keys():
        return []
    different = [key for key in a if a[key] != b[key]]
    return different if len(different) == 1 else []


def arguments(overrides: Overrides) -> list[str]:
    return [f"{key}={value}" for key, value in overrides.items()]


def _train(sweep: Sweep, folder: Path, launcher: str) -> None:
    values = {key: ",".join(values) for key, values in sweep.items()}
    fixed = {
        "records": folder / WORK,
        "archive": folder,
        "trainer.save_model": "false",
        "logger": "none",
        "hydra/launcher": launcher,
    }
    command = ["bls_bench.train", "-m", *arguments(values | fixed)]
    print("python -m", *command, flush=True)
    child = subprocess.Popen([sys.executable, "-m", *command], process_group=0)

    def pass_on(number: int, _: FrameType | None) -> None:
        # To the whole group: a launcher's own processes each have a checkpoint to write.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    before = {number: signal.signal(number, pass_on) for number in STOPPING}
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code < 0 or code >= 128:
        sys.exit(128 - code if code < 0 else code)


def status(record: Path) -> str:
    """Return what became of a run that is not in the archive: failed, or missing if it is not over."""
    try:
        return str(json.loads((record / "result.json").read_text())["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return "missing"
