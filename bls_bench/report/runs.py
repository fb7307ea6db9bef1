"""The finished runs of an archive, read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from bls_bench.records import schema
from bls_bench.records.archive import Archive, Archived
from bls_bench.records.schema import Metric
from bls_bench.system.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Run(Archived):
    """A finished run as the tables read it.

    losses: (2, epochs, N) float32, see bls_bench.records.loss_table; None where they were not kept.
    judged_by: the name of one of its task's metrics; None for the first.
    """

    losses: np.ndarray | None
    judged_by: str | None = None

    @property
    def metric(self) -> Metric:
        """What it is judged by. Raises InputError where its task has no such metric."""
        metrics = {metric.name: metric for metric in schema.metrics(self.result)}
        name = next(iter(metrics)) if self.judged_by is None else self.judged_by
        if name not in metrics:
            raise InputError(
                f"metric {name} of a column is none of its runs', which have {', '.join(metrics)}"
            )
        return metrics[name]

    @property
    def last(self) -> float:
        """The metric on the test data after the last epoch."""
        return self.result[self.metric.last]

    @property
    def best(self) -> float:
        """The metric of the best epoch, chosen by looking at the test data: told, never compared."""
        return self.result[self.metric.top]

    @property
    def pruned_percent(self) -> float:
        return self.result["pruned_percent"]

    @property
    def cpu_seconds(self) -> float | None:
        """CPU seconds for training and selection, a static pruner's scoring run included, without evaluation.

        None where a part of them is not known, as in old records, or says nothing, as beside a GPU.
        """
        parts = ["cpu_seconds"] + ["scoring_cpu_seconds"] * ("scoring_seconds" in self.result)
        if self.environments[-1]["device"] != "cpu" or not self.result.keys() >= set(parts):
            return None
        return sum(self.result[part] for part in parts)

    @property
    def pruned_percent_with_scoring(self) -> float | None:
        """Pruned % if the samples of a static pruner's scoring run are counted; None without such a run."""
        return self.result.get("pruned_percent_with_scoring")

    @property
    def correlation(self) -> float | None:
        """Rank correlation of scores with true losses, mean over the last half of training.

        None where the pruner uses no scores, or nothing is known of the losses.
        """
        if not self.result["uses_scores"]:
            return None
        column = self.curves["score_loss_spearman"]
        known = [value for value in column[len(column) // 2 :] if value is not None]
        return fmean(known) if known else None

    @property
    def machine(self) -> str:
        return machine(self.environments[-1])


class Runs:
    """The runs of one archive, read when asked for."""

    def __init__(self, folder: Path) -> None:
        self._archive = Archive(folder)
        self._read: dict[str, Run | None] = {}
        self._unfit: dict[str, None] = {}

    def get(self, key: str) -> Run | None:
        """Return a run; None if it is not there or unfit, which `problems` then tells."""
        if key not in self._read:
            self._read[key] = None
            try:
                found = self._archive.get(key)
                if found:
                    kept = losses(self._archive.losses(key), found.result)
                    self._read[key] = Run(**vars(found), losses=kept)
            except InputError as error:
                self._unfit[str(error)] = None
        return self._read[key]

    @property
    def problems(self) -> list[str]:
        """A line for each damaged line of the archive, and for each run asked for that was unfit."""
        return [*self._archive.problems, *self._unfit]


def losses(file: Path, result: dict[str, Any]) -> np.ndarray | None:
    """Map the losses that a run kept, (2, epochs, N) float32; None where it kept none."""
    if not file.exists():
        return None
    try:
        found = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        found = np.empty(0)
    if found.shape != (2, result["epochs"], result["num_samples"]):
        raise InputError(f"{file} is cut short or of another run: delete it to train the run again")
    return found


def machine(environment: dict[str, Any]) -> str:
    system = environment["platform"].partition("-")[0]
    return f"{environment['device_name']}, {environment['cpu_count']} CPUs, {system}"
