"""Where metrics go besides the record: Weights & Biases, or nowhere."""

import netrc
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bls_bench.system.errors import folded
from bls_bench.system.settings import Part

CONNECT_SECONDS = 15  # to W&B's server, before a run is kept offline
MODES = ("auto", "online", "offline", "disabled")


class Tracker:
    """Takes a run's metrics; this one drops them."""

    def log(self, metrics: dict[str, Any]) -> None:
        """Take the metrics of one epoch."""

    def show(self, pictures: Sequence[Path]) -> None:
        """Take PNG files."""

    def finish(self, exit_code: int, summary: dict[str, Any]) -> None:
        """End the run, in every case: done, failed or interrupted."""


@dataclass(frozen=True, kw_only=True)
class Logger(Part):
    """`logger=none`: the record on disk is all there is."""

    def start(self, key: str, config: dict[str, Any], group: str | None, folder: Path) -> Tracker:
        return Tracker()


@dataclass(frozen=True, kw_only=True)
class WandbLogger(Logger):
    """`logger=wandb`. mode auto is online if an API key is configured, else offline; never a prompt."""

    project: str = "bls_bench"
    mode: str = "auto"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")

    def start(self, key: str, config: dict[str, Any], group: str | None, folder: Path) -> Tracker:
        if self.mode == "disabled":
            return Tracker()
        names: dict[str, Any] = {
            "project": self.project,
            "group": group,
            "id": key,
            "name": key,
            "dir": str(folder),
        }
        return WandbTracker(self.mode, names, config)


class WandbTracker(Tracker):
    """A W&B run. Whatever fails in it is said once as a warning, and training goes on without it."""

    def __init__(self, mode: str, names: dict[str, Any], config: dict[str, Any]) -> None:
        self._run: Any = None
        self._guarded(lambda: self._start(mode, names, config))

    def _start(self, mode: str, names: dict[str, Any], config: dict[str, Any]) -> None:
        # W&B's telemetry would look for its server even from an offline run.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        settings = wandb.Settings(silent=True, console="off", init_timeout=CONNECT_SECONDS)
        options: dict[str, Any] = {
            "config": config,
            "resume": "allow",
            "settings": settings,
            "reinit": "finish_previous",
        }
        if mode != "offline" and has_api_key(settings.base_url):
            try:
                self._run = wandb.init(**names, **options, mode="online")
                return
            except Exception as error:  # no network, say, as on many compute nodes
                _warn(f"W&B cannot be reached, this run is kept offline: {folded(error)}")
        elif mode == "online":
            # Asked to be online without a key, W&B would prompt and wait for an answer.
            _warn("logger.mode=online, but W&B has no API key (WANDB_API_KEY or `wandb login`): kept offline")
        self._run = wandb.init(**names, **options, mode="offline")

    def log(self, metrics: dict[str, Any]) -> None:
        self._guarded(lambda: self._run and self._run.log(metrics, step=metrics["epoch"]))

    def show(self, pictures: Sequence[Path]) -> None:
        self._guarded(lambda: self._run and pictures and self._run.log(self._images(pictures)))

    def _images(self, pictures: Sequence[Path]) -> dict[str, Any]:
        import wandb

        return {path.stem: wandb.Image(str(path)) for path in pictures}

    def finish(self, exit_code: int, summary: dict[str, Any]) -> None:
        self._guarded(lambda: self._run and self._run.summary.update(summary))
        self._guarded(lambda: self._run and self._run.finish(exit_code=exit_code))

    def _guarded(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # a logger must never end a run, whatever it raises
            _warn(f"W&B failed, training goes on without it: {folded(error)}")
            self._run = None


def _warn(message: str) -> None:
    # Not a warning: where those are made errors, this would end the run.
    print(f"warning: {message}", file=sys.stderr)


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
