"""The records of finished runs, read back."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from bls_bench.report.reading import AGAIN, check_environment, config, demand, json_lines, load, losses
from bls_bench.system.errors import InputError

# The version of the records that this module reads: records.SCHEMA, not imported since that needs torch.
SCHEMA = 1
# A run has the machine to itself while the load average is at most its threads and this much more.
SPARE_LOAD = 0.5
# What is read of result.json, and, where it may be null, of each epoch's line.
RESULT = (
    "accuracy_last",
    "accuracy_best",
    "pruned_percent",
    "epochs",
    "num_samples",
    "train_seconds",
    "select_seconds",
)
METRICS = ("accuracy", "pruned_percent_epoch", "score_loss_spearman")
# Where the pruners live that ask no scorer: what a scorer would have told them is no property of theirs.
SCORELESS = ("bls_bench.pruning.pruner.", "bls_bench.pruning.pruners.random.", "bls_bench.static.")


@dataclass(frozen=True)
class Run:
    """A finished run. config, result, metrics, environments: the contents of its files.

    load: the load average that only the runner of the tables notes. losses: (2, epochs, N) float32, see
    bls_bench.records.loss_table. Both are None where they were not kept.
    """

    path: Path
    config: dict[str, Any]
    result: dict[str, Any]
    metrics: list[dict[str, Any]]
    environments: list[dict[str, Any]]
    load: float | None
    losses: np.ndarray | None

    @property
    def accuracy(self) -> float:
        """Accuracy on the test data after the last epoch, in percent."""
        return self.result["accuracy_last"]

    @property
    def accuracy_best(self) -> float:
        """Accuracy of the best epoch, chosen by looking at the test data: told, never compared."""
        return self.result["accuracy_best"]

    @property
    def pruned_percent(self) -> float:
        return self.result["pruned_percent"]

    @property
    def seconds(self) -> float:
        """Seconds for training and selection, a static pruner's scoring run included, without evaluation."""
        scoring = self.result.get("scoring_seconds", 0)
        return self.result["train_seconds"] + self.result["select_seconds"] + scoring

    @property
    def pruned_percent_with_scoring(self) -> float | None:
        """Pruned % if the samples of a static pruner's scoring run are counted; None without such a run."""
        return self.result.get("pruned_percent_with_scoring")

    @property
    def correlation(self) -> float | None:
        """Rank correlation of scores with true losses, mean over the last half of training.

        None where the pruner uses no scores, or nothing is known of the losses.
        """
        if self.config["pruner"]["_target_"].startswith(SCORELESS):
            return None
        half = [line["score_loss_spearman"] for line in self.metrics[len(self.metrics) // 2 :]]
        known = [value for value in half if value is not None]
        return fmean(known) if known else None

    @property
    def alone(self) -> bool:
        """Whether the run is known to have had the machine to itself.

        That is, it was started once, and a load average was noted that its own threads explain.
        """
        if len(self.environments) != 1 or self.load is None:
            return False
        environment = self.environments[0]
        return self.load <= environment["threads"] * environment["processes"] + SPARE_LOAD

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
    (result,) = json_lines(file, whole=True)
    if result.get("schema") != SCHEMA:
        raise InputError(f"{file} has schema {result.get('schema')}, this version reads {SCHEMA}")
    if result.get("key") != folder.name:
        raise InputError(f"{file} is of run {result.get('key')}, its folder is named otherwise")
    if result.get("status") != "finished":
        raise InputError(f"{file} tells of a {result.get('status')} run: {result.get('error')}")
    demand(file, result, RESULT)
    metrics = json_lines(folder / "metrics.jsonl")
    if len(metrics) != result["epochs"]:
        raise InputError(
            f"{folder / 'metrics.jsonl'} is cut short: {len(metrics)} of {result['epochs']} epochs"
        )
    for line in metrics:
        demand(folder / "metrics.jsonl", line, METRICS, or_null=True)
    environments = json_lines(folder / "environment.jsonl")
    if not environments:
        raise InputError(f"{folder / 'environment.jsonl'} is empty: {AGAIN}")
    for line in environments:
        check_environment(folder / "environment.jsonl", line)
    return Run(
        path=folder,
        config=config(folder / "config.yaml"),
        result=result,
        metrics=metrics,
        environments=environments,
        load=load(folder / "load.json"),
        losses=losses(folder / "losses.npy", result),
    )


def _numbers(run: Run) -> list[Any]:
    """Return what two records of one run must agree in: all but times."""
    return [
        {key: value for key, value in line.items() if not key.endswith("seconds")}
        for line in (run.result, *run.metrics)
    ]
