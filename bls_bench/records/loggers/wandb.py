"""Weights & Biases."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bls_bench.records.tracking import Guarded, Logger, Story, Tracker, warn
from bls_bench.system.errors import folded

if TYPE_CHECKING:
    import numpy as np

CONNECT_SECONDS = 15  # to W&B's server, before a run is kept offline
TAG = 64  # letters of a tag at most
MODES = ("auto", "online", "offline", "disabled")


@dataclass(frozen=True, kw_only=True)
class WandbLogger(Logger):
    """Weights & Biases. mode auto is online if an API key is configured, else offline; never a prompt.

    Offline runs lie in the record's folder, in `wandb/`; `wandb sync` uploads them.
    """

    project: str = "bls_bench"
    mode: str = "auto"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")

    def start(self, story: Story) -> Tracker:
        if self.mode == "disabled":
            return Tracker()
        return Guarded("W&B", lambda: WandbRun(self, story))


class WandbRun(Tracker):
    """The W&B run whose id is the key, so that a resumed run goes on in it."""

    def __init__(self, logger: WandbLogger, story: Story) -> None:
        # W&B's telemetry would look for its server even from an offline run.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        self._wandb: Any = wandb
        settings = wandb.Settings(silent=True, console="off", init_timeout=CONNECT_SECONDS)
        options: dict[str, Any] = {
            "project": logger.project,
            "group": story.experiment,
            "id": story.key,
            "name": story.key,
            "tags": [tag[:TAG] for tag in story.tags],
            "dir": str(story.folder),
            "config": dict(story.config),
            "resume": "allow",
            "settings": settings,
            "reinit": "finish_previous",
        }
        self._run = self._begun(logger.mode, options, settings.base_url)
        self._run.define_metric("epoch")
        for name, best in {"loss": "min", **{one.name: one.extreme for one in story.metrics}}.items():
            self._run.define_metric(name, step_metric="epoch", summary=f"{best},last")

    def _begun(self, mode: str, options: dict[str, Any], url: str) -> Any:
        if mode != "offline" and has_api_key(url):
            try:
                return self._wandb.init(**options, mode="online")
            except Exception as error:  # no network, say, as on many compute nodes
                warn(f"W&B cannot be reached, this run is kept offline: {folded(error)}")
        elif mode == "online":
            # Asked to be online without a key, W&B would prompt and wait for an answer.
            warn("logger.mode=online, but W&B has no API key (WANDB_API_KEY or `wandb login`): kept offline")
        return self._wandb.init(**options, mode="offline")

    def log(self, metrics: Mapping[str, Any]) -> None:
        self._run.log(dict(metrics), step=metrics["epoch"])

    def spread(self, epoch: int, values: Mapping[str, np.ndarray]) -> None:
        found = {f"samples/{name}": self._wandb.Histogram(array) for name, array in values.items()}
        self._run.log(found, step=epoch)

    def show(self, pictures: Sequence[Path]) -> None:
        if pictures:
            self._run.log({f"pictures/{path.stem}": self._wandb.Image(str(path)) for path in pictures})

    def finish(self, exit_code: int, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(summary))
        self._run.finish(exit_code=exit_code)


def has_api_key(base_url: str) -> bool:
    """Whether W&B would find an API key for its server: in WANDB_API_KEY, or in its login's netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(base_url).hostname or base_url
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
