"""MLflow."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bls_bench.records.tracking import Guarded, Logger, Story, Tracker, numbers

if TYPE_CHECKING:
    import numpy as np

AT_ONCE = 100  # settings that MLflow takes in one call
KEY = "bls_bench.key"
QUANTILES = (10, 50, 90)


@dataclass(frozen=True, kw_only=True)
class MLflowLogger(Logger):
    """MLflow. uri: of the tracking server, or null.

    Without one it is MLFLOW_TRACKING_URI, or else the file `mlflow.db` beside the records. MLflow has no
    histograms: of scores and weights it gets the 10th, 50th and 90th percentile.
    """

    requires = ("mlflow",)
    extra = "mlflow"

    experiment: str = "bls_bench"
    uri: str | None = None

    def start(self, story: Story) -> Tracker:
        return Guarded("MLflow", lambda: MLflowRun(self, story))


class MLflowRun(Tracker):
    """The MLflow run that bears the key as a tag, so that a resumed run goes on in it."""

    def __init__(self, logger: MLflowLogger, story: Story) -> None:
        # MLflow would report its use to its makers.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)  # not each table that it makes
        from mlflow import MlflowClient

        records = story.folder.parent
        uri = logger.uri or os.environ.get("MLFLOW_TRACKING_URI")
        artifacts = None if uri else (records / "mlflow").as_uri()
        self._client = MlflowClient(uri or f"sqlite:///{records / 'mlflow.db'}")
        found = self._client.get_experiment_by_name(logger.experiment)
        experiment = (
            found.experiment_id if found else self._client.create_experiment(logger.experiment, artifacts)
        )
        self._id = self._found(experiment, story.key) or self._created(experiment, story)
        self._client.update_run(self._id, status="RUNNING")

    def _found(self, experiment: str, key: str) -> str | None:
        runs = self._client.search_runs([experiment], f"tags.`{KEY}` = '{key}'", max_results=1)
        return runs[0].info.run_id if runs else None

    def _created(self, experiment: str, story: Story) -> str:
        from mlflow.entities import Param

        tags = dict(tag.split("=", 1) for tag in story.tags) | {KEY: story.key}
        made = self._client.create_run(experiment, run_name=story.key, tags=tags).info.run_id
        settings = [Param(name, str(value)) for name, value in story.settings.items()]
        for start in range(0, len(settings), AT_ONCE):
            self._client.log_batch(made, params=settings[start : start + AT_ONCE])
        return made

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._client.log_batch(self._id, [Metric(name, value, now, step) for name, value in values.items()])

    def log(self, metrics: Mapping[str, Any]) -> None:
        self._log(numbers(metrics), metrics["epoch"])

    def spread(self, epoch: int, values: Mapping[str, np.ndarray]) -> None:
        import numpy as np

        for name, array in values.items():
            found = np.percentile(array, QUANTILES)
            self._log(
                {f"samples/{name}_p{q}": float(v) for q, v in zip(QUANTILES, found, strict=True)}, epoch
            )

    def show(self, pictures: Sequence[Path]) -> None:
        for path in pictures:
            self._client.log_artifact(self._id, str(path), "pictures")

    def finish(self, exit_code: int, summary: Mapping[str, Any]) -> None:
        self._log(numbers(summary), int(summary.get("epochs", 0)))
        self._client.set_terminated(self._id, "FAILED" if exit_code else "FINISHED")
