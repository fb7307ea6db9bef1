"""Train what a table lacks, through Hydra's multirun, and note which run belongs to which cell."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from bls_bench.config import CONF_DIR
from bls_bench.config import load as load_config
from bls_bench.experiments import manifest
from bls_bench.experiments.spec import Overrides, Table
from bls_bench.records.run import write
from bls_bench.refusals import one_line
from bls_bench.system.errors import InputError

# The values of each key; all combinations are run.
Sweep = dict[str, tuple[str, ...]]

SAMPLE_SECONDS = 5
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(table: Table, seeds: Iterable[int], results: Path, records: Path, launcher: str) -> list[str]:
    """Train the runs that are not finished yet; returns a line for each that failed.

    Raises SystemExit with 128 + n when a sweep is stopped by signal n; the same call then goes on.
    """
    file = manifest.path(results, table.name, table.scale)
    known = {seed for runs in manifest.read(file).values() for seed in runs}
    keys, problems = cell_keys(table, sorted(known.union(seeds)))
    manifest.write(file, keys)
    cells = {
        key: table_overrides | {"seed": seed}
        for (row, column), table_overrides in _cells(table)
        for seed, key in keys.get((row, column), {}).items()
        if seed in set(seeds)
    }
    missing = {key: overrides for key, overrides in cells.items() if not done(records / key, overrides)}
    there = len(cells) - len(missing)
    print(f"{table.name} at SCALE={table.scale}: {there} runs there, {len(missing)} to train", flush=True)
    for sweep in merge(missing.values()):
        # With several runs at a time, or on other machines, the load here says nothing of theirs.
        _train(sweep, records, launcher, list(missing) if launcher == "basic" else [])
    return problems + [
        f"{table.name}: run {key} ({' '.join(arguments(overrides))}) is {status(records / key) or 'missing'}"
        for key, overrides in missing.items()
        if not done(records / key, overrides)
    ]


def cell_keys(table: Table, seeds: list[int]) -> tuple[manifest.Keys, list[str]]:
    """Return the runs' keys of every cell that can be run, and a line for each config that is refused."""
    keys, problems = {}, []
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        for cell, overrides in _cells(table):
            try:
                config = load_config(compose("config", arguments(overrides)))
            except (InputError, HydraException) as error:
                problems.append(f"{table.name}: {cell[0]}, {cell[1]}: {one_line(error)}")
                continue
            keys[cell] = {
                seed: dataclasses.replace(config, seed=seed, resolved=config.resolved | {"seed": seed}).key
                for seed in seeds
            }
    return keys, problems


def _cells(table: Table) -> Iterator[tuple[tuple[str, str], Overrides]]:
    for column in table.columns:
        for row in table.rows:
            overrides = table.overrides(row, column)
            if overrides is not None:
                yield (row.label, column.label), overrides


def merge(cells: Iterable[Overrides]) -> list[Sweep]:
    """Cover the cells by few sweeps, each run exactly once: two that differ in one key become one."""
    sweeps: list[Sweep] = []
    for cell in cells:
        new = {key: (str(value),) for key, value in cell.items()}
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


def _train(sweep: Sweep, records: Path, launcher: str, keys: list[str]) -> None:
    values = {key: ",".join(values) for key, values in sweep.items()}
    fixed = {"records": records, "trainer.save_model": "false", "logger": "none", "hydra/launcher": launcher}
    command = ["bls_bench.train", "-m", *arguments(values | fixed)]
    print("python -m", *command, flush=True)
    child = subprocess.Popen([sys.executable, "-m", *command], process_group=0)

    def pass_on(number: int, _: FrameType | None) -> None:
        # To the whole group: a launcher's own processes each have a checkpoint to write.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    before = {number: signal.signal(number, pass_on) for number in STOPPING}
    try:
        code = _wait(child, records, keys)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code < 0 or code >= 128:
        sys.exit(128 - code if code < 0 else code)


def _wait(child: subprocess.Popen, records: Path, keys: list[str]) -> int:
    """Wait for the child; meanwhile note beside every record how busy the machine was."""
    loads: list[tuple[float, float]] = []
    try:
        while True:
            try:
                return child.wait(SAMPLE_SECONDS)
            except subprocess.TimeoutExpired:
                loads.append((time.time(), os.getloadavg()[0]))
    finally:
        for key in keys:
            note_load(records / key, loads)


def note_load(record: Path, loads: list[tuple[float, float]]) -> None:
    """Write load.json: the highest one-minute load average seen while the run was trained.

    A run's time says something only if it had the machine to itself. What no sample covers is not noted.
    """
    if status(record) != "finished":
        return
    started, ended = ((record / name).stat().st_mtime for name in ("config.yaml", "result.json"))
    during = [load for when, load in loads if started <= when <= ended + SAMPLE_SECONDS]
    if during:
        write(record / "load.json", json.dumps({"load": max(during)}) + "\n")


def done(record: Path, overrides: Overrides) -> bool:
    """Whether a run is finished, with its losses kept if they are asked for."""
    kept = not overrides.get("trainer.save_losses") or (record / "losses.npy").exists()
    return kept and status(record) == "finished"


def status(record: Path) -> str | None:
    """Return finished or failed; None for a run that is not over, or whose result cannot be read."""
    try:
        return json.loads((record / "result.json").read_text())["status"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
