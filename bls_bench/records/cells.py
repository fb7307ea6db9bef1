"""Many small runs kept compactly: a line a cell of an experiment, with a value a seed.

For runs of a fraction of a second, of which an archive with config, environment and curves of each would be
larger than what they say. Lines are only ever appended, each with the checksum of its rest.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from bls_bench.records.archive import LINE, append_line, checksum, sealed
from bls_bench.system.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CellLine:
    """Runs of one cell.

    key: that of the run with seed 0, so it stands for all values and versions. cell: what the cell is, by
    name. seeds: of the runs. values: for each thing measured a value a seed, null where there is none.
    environment: versions, device, threads. cpu_seconds: of the process, for all of these runs.
    """

    key: str
    cell: dict[str, str]
    seeds: list[int]
    values: dict[str, list[float | None]]
    environment: dict[str, Any]
    cpu_seconds: float


def append(path: Path, line: CellLine) -> None:
    """Add a line; raises InputError if the file cannot be written, or for a number that is not finite."""
    text = sealed(asdict(line))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / ".lock"):
            append_line(path, text)
    except OSError as error:
        raise InputError(f"{path}: cannot write there ({error.strerror})") from None


def read(path: Path) -> tuple[list[CellLine], list[str]]:
    """Return the lines of a file, none if there is no file, and a line of text for each that is damaged."""
    found, problems = [], []
    content = path.read_bytes() if path.exists() else b""
    for number, line in enumerate(content.split(b"\n"), start=1):
        match = LINE.fullmatch(line)
        if match and checksum(match[2]) == match[1].decode():
            found.append(CellLine(**json.loads(b"{" + match[2])))
        elif line:
            problems.append(f"{path}, line {number}: damaged, delete it to train its runs again")
    return found, problems


def by_seed(lines: list[CellLine], key: str, name: str) -> dict[int, float]:
    """Return what was measured under a name in the runs of a key, by seed; of two runs the later one."""
    return {
        seed: value
        for line in lines
        if line.key == key and name in line.values
        for seed, value in zip(line.seeds, line.values[name], strict=True)
        if value is not None
    }
