"""Where metrics go besides the record: Weights & Biases, or nowhere."""

import netrc
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODES = ("auto", "online", "offline", "disabled")


class Tracker:
    """Takes a run's metrics; this one drops them."""

    def log(self, metrics: dict[str, Any]) -> None:
        """Take the metrics of one epoch."""

    def finish(self, exit_code: int, summary: dict[str, Any]) -> None:
        """End the run, in every case: done, failed or interrupted."""


@dataclass(frozen=True, kw_only=True)
class Logger:
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
        mode = self.mode
        if mode == "auto":
            mode = "online" if has_api_key() else "offline"
        if mode == "disabled":
            return Tracker()
        settings = {"project": self.project, "mode": mode, "group": group, "id": key, "name": key}
        return WandbTracker(settings, config, folder)


class WandbTracker(Tracker):
    """A W&B run. Whatever fails in it is said once as a warning, and training goes on without it."""

    def __init__(self, settings: dict[str, Any], config: dict[str, Any], folder: Path) -> None:
        self._run: Any = None
        self._guarded(lambda: self._start(settings, config, folder))

    def _start(self, settings: dict[str, Any], config: dict[str, Any], folder: Path) -> None:
        import wandb

        quiet = wandb.Settings(silent=True, console="off")
        self._run = wandb.init(
            **settings,
            config=config,
            dir=str(folder),
            resume="allow",
            settings=quiet,
            reinit="finish_previous",
        )

    def log(self, metrics: dict[str, Any]) -> None:
        self._guarded(lambda: self._run and self._run.log(metrics, step=metrics["epoch"]))

    def finish(self, exit_code: int, summary: dict[str, Any]) -> None:
        self._guarded(lambda: self._run and self._run.summary.update(summary))
        self._guarded(lambda: self._run and self._run.finish(exit_code=exit_code))

    def _guarded(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # a logger must never end a run, whatever it raises
            warnings.warn(f"W&B failed, training goes on without it: {error}", stacklevel=2)
            self._run = None


def has_api_key() -> bool:
    """Whether W&B would find an API key: in WANDB_API_KEY, or in the netrc file where its login put it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = (
        os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("://")[-1].split("/")[0].split(":")[0]
    )
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
