"""The record of a run on disk: config, environment, metrics, checkpoint and result."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from bls_bench.gallery import KEPT
from bls_bench.records.archive import Archive, Archived, columns
from bls_bench.records.schema import SCHEMA, result_fault
from bls_bench.system import durable
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.version import __version__

PACKAGES = ("torchvision", "timm", "numpy")
PLACES = ("records", "archive")


class Record:
    """The folder `<root>/<key>/`, held by one process at a time.

    config.yaml: all values the run came from. environment.jsonl: versions and device, a line each time
    the run was started. metrics.jsonl: a line an epoch. result.json: the outcome, written last and by
    rename, so a run that has one is over. checkpoint.pt: there while the run is not.

    Both metrics and result hold seconds: `train_seconds` for the steps, and of these `data_seconds`
    waiting for the next batch and `compile_seconds` in torch.compile; beside them `select_seconds` for
    all that pruning does between epochs and `eval_seconds`. `samples_per_second` is what was trained on
    by the training time less compilation. `peak_memory_mib` counts the tensors of an epoch on a GPU, and
    on a CPU the whole process since its start.
    """

    def __init__(self, root: str, key: str, config: dict[str, Any]) -> None:
        """Open the folder, made if need be.

        Raises InputError if it cannot be written, or another process is at work in it.
        """
        self.key, self.config = key, config
        self._load: float | None = None
        self._lines: list[str] = []
        self._started = ""
        self.path = Path(root).expanduser().absolute() / key
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold()
        except Timeout:
            raise InputError(f"records={root}: another process is training run {key} right now") from None
        except OSError as error:
            raise InputError(f"records={root}: cannot write there ({error.strerror})") from None

    def _hold(self) -> None:
        self._lock = FileLock(self.path / ".lock")
        self._lock.acquire(timeout=0)

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def model(self) -> Path:
        return self.path / "model.pt"

    @property
    def losses(self) -> Path:
        return self.path / "losses.npy"

    @property
    def look(self) -> Path:
        """What each epoch did with each sample, with `trainer.look=true`."""
        return self.path / KEPT

    def pictures(self) -> list[Path]:
        """Return what the task has drawn at the end of the run, PNG files."""
        return sorted(self.path.glob("*.png"))

    def result(self) -> dict[str, Any] | None:
        """Return the outcome of a run that is over; None while it is not."""
        path = self.path / "result.json"
        if not path.exists():
            return None
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            failed = result["schema"] == SCHEMA and result["status"] == "failed"
            if result["key"] == self.key and (failed or result_fault(result) is None):
                return result
        except (ValueError, KeyError, TypeError):  # no UTF-8, no JSON, no mapping
            pass
        raise InputError(f"{path} is not a whole result of schema {SCHEMA}: delete it to train the run again")

    def recorded(self) -> dict[str, Any]:
        """Return the values that the recorded run was made from; empty where the file is none of values."""
        try:
            found = yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return found if isinstance(found, dict) else {}

    def start(self, device: str, processes: int, history: list[dict[str, Any]]) -> None:
        """Note a start; `history` holds the metrics of the epochs that are done already."""
        (self.path / "result.json").unlink(missing_ok=True)
        self._lines = [json.dumps(line) for line in history]
        self._started = json.dumps(environment(device, processes))
        self.write_config()
        durable.write(self.path / "metrics.jsonl", "".join(f"{line}\n" for line in self._lines))
        durable.append(self.path / "environment.jsonl", self._started)

    def write_config(self) -> None:
        durable.write(self.path / "config.yaml", yaml.safe_dump(self.config, sort_keys=False))

    def append(self, metrics: dict[str, Any]) -> None:
        """Note the metrics of an epoch, and whether the machine had other work."""
        self.restore()
        if os.name == "posix":
            self._load = max(self._load or 0.0, os.getloadavg()[0])
        self._lines.append(json.dumps(metrics))
        durable.append(self.path / "metrics.jsonl", self._lines[-1])

    def restore(self) -> None:
        """Make a record again that was deleted while its run goes on, and say so.

        What it does not bring back are losses.npy, and the environments of earlier starts.
        """
        if (self.path / "metrics.jsonl").exists():
            return
        print(f"{self.path} was deleted while the run goes on: it is made again")
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / ".lock").exists():
            self._lock.release()
            self._hold()
        self.write_config()
        durable.write(self.path / "environment.jsonl", self._started + "\n")
        durable.write(self.path / "metrics.jsonl", "".join(f"{line}\n" for line in self._lines))

    def finish(self, result: dict[str, Any]) -> None:
        """Write the outcome; `result["status"]` is finished or failed."""
        self.restore()
        text = json.dumps({"schema": SCHEMA, "key": self.key, **result}, indent=2)
        durable.write(self.path / "result.json", text + "\n")

    def move(self, folder: str) -> None:
        """Bring a finished run into the archive in `folder`; weights, pictures and pages stay."""
        result = self.result()
        assert result is not None
        archived = Archived(
            key=self.key,
            # Where a record lay is nothing to know it by.
            config={name: value for name, value in self.config.items() if name not in PLACES},
            environments=_lines(self.path / "environment.jsonl"),
            result=result,
            load=self._load,
            curves=columns(_lines(self.path / "metrics.jsonl")),
        )
        Archive(folder).append(archived, self.losses if self.losses.exists() else None)
        for name in ("result.json", "config.yaml", "environment.jsonl", "metrics.jsonl", "losses.npy"):
            (self.path / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the folder; one that a refused run has left empty is removed."""
        self._lock.release()
        if self.path.is_dir() and [path.name for path in self.path.iterdir()] == [".lock"]:
            (self.path / ".lock").unlink()
            self.path.rmdir()


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        raise InputError(f"{file} is missing or damaged: delete {file.parent} to train again") from None


def environment(device: str, processes: int) -> dict[str, Any]:
    """What a figure needs beside it: versions, device, processes and threads."""
    return {
        "device": device,
        "device_name": device_name(device),
        "processes": processes,
        "threads": torch.get_num_threads(),
        "cpu_count": os.cpu_count(),
        "bls_bench": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        **{package: version(package) for package in PACKAGES},
    }


def device_name(device: str) -> str:
    """Return the model of the GPU, or of the CPU as far as the system tells it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    try:
        told = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # only Linux has the file
        told = None
    return told[1] if told else platform.processor() or platform.machine()


def commit() -> str | None:
    """Return the git commit of the source tree; None for an installed wheel.

    "-dirty" if the code has changed since: `bls_bench/` and `conf/`, not results, docs or tests.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    git = ["git", "-C", str(root)]
    try:
        name = _output([*git, "rev-parse", "--short=12", "HEAD"])
        changed = _output([*git, "status", "--porcelain", "--untracked-files=no", "--", "bls_bench", "conf"])
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{name}-dirty" if changed else name


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
