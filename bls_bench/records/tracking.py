"""What metrics are sent to besides the record: the base of all loggers."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bls_bench.records.schema import Metric
from bls_bench.system.errors import folded
from bls_bench.system.settings import Part

if TYPE_CHECKING:
    import numpy as np

HISTOGRAMS = 10  # in the course of a run, about


class Story(NamedTuple):
    """What a logger is told of a run when it starts.

    config: all values, nested. choices: the option typed for each group, where one was; metrics: the task's,
    the headline first. epochs: asked for. folder: of the record.
    """

    key: str
    config: Mapping[str, Any]
    choices: Mapping[str, str | None]
    metrics: Sequence[Metric]
    epochs: int
    folder: Path

    @property
    def experiment(self) -> str | None:
        """The recipe that was chosen, which groups runs."""
        return self.choices.get("experiment")

    @property
    def tags(self) -> list[str]:
        """What was chosen for each group, as `pruner=bls_seta`; the part's name where nothing was typed."""
        parts = {group: node["_target_"] for group, node in self.config.items() if _is_part(node)}
        chosen = {group: name for group, name in self.choices.items() if name is not None}
        return [f"{group}={name}" for group, name in {**parts, **chosen}.items() if group != "logger"]

    @property
    def settings(self) -> dict[str, Any]:
        """The config with one level of names, as typed: `scorer.alpha`."""
        return dict(_flat(self.config))


def _is_part(node: object) -> bool:
    return isinstance(node, Mapping) and "_target_" in node


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


class Tracker:
    """Takes a run's metrics; this one drops them."""

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Take the metrics of one epoch; null where an epoch has none."""

    def spread(self, epoch: int, values: Mapping[str, np.ndarray]) -> None:
        """Take values of all samples, (n,) each, every few epochs: scores, and weights of those kept."""

    def show(self, pictures: Sequence[Path]) -> None:
        """Take PNG files."""

    def finish(self, exit_code: int, summary: Mapping[str, Any]) -> None:
        """End the run, in every case: done, failed or interrupted."""


class Guarded(Tracker):
    """Passes all on to another tracker. If that fails, a warning says so once, and training goes on."""

    def __init__(self, name: str, start: Callable[[], Tracker]) -> None:
        self._name, self._tracker = name, Tracker()
        self._guarded(lambda: setattr(self, "_tracker", start()))

    def log(self, metrics: Mapping[str, Any]) -> None:
        self._guarded(lambda: self._tracker.log(metrics))

    def spread(self, epoch: int, values: Mapping[str, np.ndarray]) -> None:
        self._guarded(lambda: self._tracker.spread(epoch, values))

    def show(self, pictures: Sequence[Path]) -> None:
        self._guarded(lambda: self._tracker.show(pictures))

    def finish(self, exit_code: int, summary: Mapping[str, Any]) -> None:
        self._guarded(lambda: self._tracker.finish(exit_code, summary))

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # a logger must never end a run, whatever it raises
            warn(f"{self._name} failed, training goes on without it: {folded(error)}")
            self._tracker = Tracker()


def warn(message: str) -> None:
    # Not a warning: where those are made errors, this would end the run.
    print(f"warning: {message}", file=sys.stderr)


@dataclass(frozen=True, kw_only=True)
class Logger(Part):
    """Base of all loggers."""

    def start(self, story: Story) -> Tracker:
        """Begin, or go on with, the logger's own run of this key."""
        return Tracker()


def numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """Return what of a line is a finite number."""
    found = {name: value for name, value in line.items() if isinstance(value, int | float)}
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def is_due(epoch: int, epochs: int) -> bool:
    """Whether histograms are taken of an epoch: about HISTOGRAMS times, and of the first and the last."""
    return epoch % math.ceil(epochs / HISTOGRAMS) == 0 or epoch + 1 == epochs
