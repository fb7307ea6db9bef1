"""The records of finished runs, read back."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import yaml

from bls_bench.errors import InputError

# The version of the records that this module reads: records.SCHEMA, not imported since that needs torch.
SCHEMA = 1
# A run has the machine to itself while the load average is at most its threads and this much more.
SPARE_LOAD = 0.5


@dataclass(frozen=True)
class Run:
    """A finished run. result, metrics, environments: the contents of its files.

    losses: (2, epochs, N) float32, see bls_bench.losses; None where they were not kept.
    """

    path: Path
    result: dict[str, Any]
    metrics: list[dict[str, Any]]
    environments: list[dict[str, Any]]
    losses: np.ndarray | None

    @property
    def accuracy(self) -> float:
        """Accuracy on the test data after the last epoch, in percent."""
        return self.result["accuracy_last"]

    @property
    def pruned_percent(self) -> float:
        return self.result["pruned_percent"]

    @property
    def seconds(self) -> float:
        """Seconds for training and selection, without evaluation."""
        return self.result["train_seconds"] + self.result["select_seconds"]

    @property
    def correlation(self) -> float | None:
        """Rank correlation of scores with true losses, mean over the last half of training."""
        half = [line["score_loss_spearman"] for line in self.metrics[len(self.metrics) // 2 :]]
        known = [value for value in half if value is not None]
        return fmean(known) if known else None

    @cached_property
    def config(self) -> dict[str, Any]:
        return yaml.safe_load((self.path / "config.yaml").read_text())

    @cached_property
    def alone(self) -> bool:
        """Whether the run is known to have had the machine to itself.

        That is, it was started once, and load.json, which only the runner of the tables writes, holds a load
        average that its own threads explain.
        """
        file = self.path / "load.json"
        if len(self.environments) != 1 or not file.exists():
            return False
        environment = self.environments[0]
        own = environment["threads"] * environment["processes"]
        return json.loads(file.read_text())["load"] <= own + SPARE_LOAD

    @property
    def machine(self) -> str:
        return machine(self.environments[-1])


class Runs:
    """All records below a folder, read when asked for; `problems` grows by a line for each that is unfit."""

    def __init__(self, root: Path) -> None:
        self.problems: list[str] = []
        self._folders: dict[str, list[Path]] = {}
        self._read: dict[str, Run | None] = {}
        for file in sorted(root.rglob("config.yaml")):
            self._folders.setdefault(file.parent.name, []).append(file.parent)

    def get(self, key: str) -> Run | None:
        """Return a run; None if it is not there, not finished or unfit, which `problems` then tells."""
        if key not in self._read:
            self._read[key] = None
            try:
                self._read[key] = self._find(key)
            except InputError as error:
                self.problems.append(str(error))
        return self._read[key]

    def _find(self, key: str) -> Run | None:
        found = [read(folder) for folder in self._folders.get(key, [])]
        runs = [run for run in found if run is not None]
        for run in runs[1:]:
            if _numbers(run) != _numbers(runs[0]):
                raise InputError(
                    f"{run.path} and {runs[0].path} are records of one key and differ: delete one"
                )
        return runs[0] if runs else None


def machine(environment: dict[str, Any]) -> str:
    system = environment["platform"].partition("-")[0]
    return f"{environment['device_name']}, {environment['cpu_count']} CPUs, {system}"


def read(folder: Path) -> Run | None:
    """Read a record; None for a run that is not over.

    Raises InputError naming the file that is cut short, of another schema, or tells of a failed run.
    """
    file = folder / "result.json"
    if not file.exists():
        return None
    result = next(iter(_json_lines(file, whole=True)))
    if result.get("schema") != SCHEMA:
        raise InputError(f"{file} has schema {result.get('schema')}, this version reads {SCHEMA}")
    if result.get("key") != folder.name:
        raise InputError(f"{file} is of run {result.get('key')}, its folder is named otherwise")
    if result.get("status") != "finished":
        raise InputError(f"{file} tells of a {result.get('status')} run: {result.get('error')}")
    metrics = _json_lines(folder / "metrics.jsonl")
    if len(metrics) != result["epochs"]:
        raise InputError(
            f"{folder / 'metrics.jsonl'} is cut short: {len(metrics)} of {result['epochs']} epochs"
        )
    environments = _json_lines(folder / "environment.jsonl")
    return Run(folder, result, metrics, environments, _losses(folder / "losses.npy", result))


def _losses(file: Path, result: dict[str, Any]) -> np.ndarray | None:
    if not file.exists():
        return None
    try:
        losses = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        losses = np.empty(0)
    if losses.shape != (2, result["epochs"], result["num_samples"]):
        raise InputError(f"{file} is cut short or of another run: delete its folder to train the run again")
    return losses


def _json_lines(file: Path, whole: bool = False) -> list[dict[str, Any]]:
    """Read a file of a JSON object a line, or of one only; raises InputError naming a damaged file."""
    try:
        text = file.read_text()
        return [json.loads(part) for part in ([text] if whole else text.splitlines())]
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from None
    except ValueError:
        raise InputError(
            f"{file} is cut short or not JSON: delete its folder to train the run again"
        ) from None


def _numbers(run: Run) -> list[Any]:
    """Return what two records of one run must agree in: all but times."""
    return [
        {key: value for key, value in line.items() if not key.endswith("seconds")}
        for line in (run.result, *run.metrics)
    ]
