"""The archive of a scale: every finished run, a line in each of two files that only ever grow.

runs.jsonl: key, config, environments, result, load. epochs.jsonl: key and the curves as columns. A line
begins with a checksum of its rest. Two archives are merged by putting their lines together.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from bls_bench.records import schema
from bls_bench.system.errors import InputError

RUNS, EPOCHS, LOSSES = "runs.jsonl", "epochs.jsonl", "losses"
DIGITS = 16  # of the checksum
LINE = re.compile(rb'\{"sum":"([0-9a-f]{%d})",("key":"([^"]+)".*)' % DIGITS)
AGAIN = "delete the line to train its run again"


@dataclass(frozen=True, kw_only=True)
class Archived:
    """A finished run.

    config: all its values. environments: versions and device, one for each time it was started. result: what
    came out. load: the highest load average of the machine on the way, None where it was not measured.
    curves: a column for each thing measured, with a value an epoch, null where there was none.
    """

    key: str
    config: dict[str, Any]
    environments: list[dict[str, Any]]
    result: dict[str, Any]
    load: float | None
    curves: dict[str, list[Any]]

    @property
    def fault(self) -> str | None:
        """What keeps it from being a whole record of this schema; None if nothing does."""
        if self.result.get("key") != self.key:
            return f"has the result of run {self.result.get('key')}"
        if not self.environments:
            return "does not say its environments as it should"
        return (
            schema.result_fault(self.result)
            or schema.curves_fault(self.curves, self.result)
            or next(filter(None, map(schema.environment_fault, self.environments)), None)
        )


class Archive:
    """The archive in a folder, read when first asked. Several processes may append at once."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def get(self, key: str) -> Archived | None:
        """Return a run; None if it is not there, or a line of it is missing or damaged (see `problems`).

        Raises InputError naming lines that contradict each other, or are of another schema.
        """
        run, epochs = self._runs.get(key), self._epochs.get(key)
        if run is None or epochs is None:
            return None
        found = Archived(**run, curves=epochs["curves"])
        if found.fault:
            raise InputError(f"{self._runs.place(key)}: run {key} {found.fault}: {AGAIN}")
        return found

    def result(self, key: str) -> dict[str, Any] | None:
        """Return the result of a finished run; None for one to be trained. Raises InputError as `get`."""
        found = self.get(key)
        return found.result if found else None

    def losses(self, key: str) -> Path:
        """Return where the losses lie that a run kept of every sample, if it did."""
        return self.folder / LOSSES / f"{key}.npy"

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of the runs that have both their lines."""
        return (key for key in self._runs.keys if key in self._epochs.keys)

    @property
    def problems(self) -> list[str]:
        """A line for each line of the files that is damaged or has no counterpart."""
        alone = [
            f"{self._runs.place(key)}: run {key} has no whole line in {EPOCHS}: {AGAIN}"
            for key in self._runs.keys
            if key not in self._epochs.keys
        ]
        return [*self._runs.problems, *self._epochs.problems, *alone]

    def append(self, record: Archived, losses: Path | None = None) -> None:
        """Add a run, and the file of the losses that it kept.

        Raises InputError for a record that is not whole, or if the folder cannot be written.
        """
        if record.fault:
            raise InputError(f"run {record.key} {record.fault}: it is not archived")
        fields = dict(vars(record))
        curves = fields.pop("curves")
        # What says that the run is finished comes last: killed before it, the run is trained again.
        lines = {EPOCHS: sealed({"key": record.key, "curves": curves}), RUNS: sealed(fields)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):
                if losses:
                    _copy(losses, self.losses(record.key))
                for name, line in lines.items():
                    append_line(self.folder / name, line)
        except OSError as error:
            raise InputError(f"archive={self.folder}: cannot write there ({error.strerror})") from None
        for name in ("_runs", "_epochs"):
            self.__dict__.pop(name, None)

    @cached_property
    def _runs(self) -> _File:
        return _File(self.folder / RUNS, lambda line: line["result"])

    @cached_property
    def _epochs(self) -> _File:
        return _File(self.folder / EPOCHS, lambda line: line["curves"])


class _File:
    """The lines of one file by their keys. `numbers`: what all lines of a key have to agree in."""

    def __init__(self, path: Path, numbers: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        self.path, self._numbers = path, numbers
        self.problems: list[str] = []
        self.keys: dict[str, list[tuple[int, bytes]]] = {}
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror})") from None
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            found = LINE.fullmatch(line)
            if found is None or checksum(found[2]) != found[1].decode():
                self.problems.append(f"{path}, line {number}: damaged, its checksum does not fit: {AGAIN}")
            else:
                self.keys.setdefault(found[3].decode(), []).append((number, b"{" + found[2]))

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the last line of a key; raises InputError where another says otherwise."""
        if key not in self.keys:
            return None
        number, text = self.keys[key][-1]
        last = json.loads(text)
        for other, other_text in self.keys[key][:-1]:
            if other_text != text and _at_odds(self._numbers(json.loads(other_text)), self._numbers(last)):
                raise InputError(
                    f"{self.path}, lines {other} and {number}: they contradict each other on run {key}: "
                    "delete the wrong one"
                )
        return last

    def place(self, key: str) -> str:
        return f"{self.path}, line {self.keys[key][-1][0]}"


def _at_odds(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two lines say different things of what both tell, times and memory aside.

    A newer line may tell more.
    """
    return any(
        one[name] != other[name] for name in one.keys() & other.keys() if not name.endswith(schema.MEASURED)
    )


def columns(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the metrics of epochs, a mapping each, as curves."""
    lines = list(lines)
    names = dict.fromkeys(name for line in lines for name in line)
    return {name: [line.get(name) for line in lines] for name in names}


def checksum(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:DIGITS]


def sealed(content: Mapping[str, Any]) -> bytes:
    """Return the line of a mapping that begins with its key; raises InputError for numbers that are none."""
    try:
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)[1:].encode()
    except ValueError:
        raise InputError(
            f"run {content['key']} has numbers that are not finite: it is not archived"
        ) from None
    return b'{"sum":"%b",%b\n' % (checksum(text).encode(), text)


def append_line(path: Path, line: bytes) -> None:
    """Put a line at the end of a file, and on the disk."""
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # somebody was killed here: the torn line is closed, and stays damaged
                line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _copy(source: Path, target: Path) -> None:
    """Copy a file by rename, so that it is never seen half written."""
    target.parent.mkdir(exist_ok=True)
    temporary = target.with_suffix(".tmp")
    try:
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
