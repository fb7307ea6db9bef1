"""The live line of a run: how far it is, how long it still takes, and what pruning has saved so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from bls_bench.pruning.state import PruningState

LINE = "{desc} {percentage:3.0f}%|{bar:16}| {n_fmt}/{total_fmt}  {rate_fmt}  {rest}"


class Pace:
    """Estimates the time left from the progress that this process has made.

    progress: the share of the run that is made, in [0, 1], as of the last `at`.
    """

    def __init__(self) -> None:
        self.progress = 0.0
        self._began: tuple[float, float] | None = None

    def at(self, progress: float) -> float:
        """Note the progress and return it; the first one noted is where this process began."""
        self.progress = progress
        self._began = self._began or (progress, time.monotonic())
        return progress

    @property
    def left(self) -> float | None:
        """The seconds left; None before there is any progress to go by."""
        if self._began is None or self.progress == self._began[0]:
            return None
        share, started = self._began
        return (time.monotonic() - started) * (1 - self.progress) / (self.progress - share)


class Live(tqdm):
    """tqdm over the batches of an epoch, which says `rest()` at the end of its line.

    The text is made only when the line is drawn, some times a second, and never without a terminal.
    """

    def __init__(self, batches: Collection[Any], rest: Callable[[], str], **options: Any) -> None:
        self._rest = rest
        super().__init__(batches, bar_format=LINE, leave=False, unit="step", dynamic_ncols=True, **options)

    @property
    def format_dict(self) -> dict[str, Any]:
        return {**super().format_dict, "rest": self._rest()}


def rest(pace: Pace, state: PruningState, history: Sequence[Mapping[str, Any]]) -> str:
    """Say what a live line ends with: the time left, and what is pruned; history: of the finished epochs."""
    parts = [] if pace.left is None else [f"{duration(pace.left)} left"]
    parts.append(f"pruned {state.pruned_percent:.1f}%")
    if state.left_out:
        seconds = sum(line["train_seconds"] for line in history)
        trained = sum(line["trained"] for line in history)
        saved = f", {duration(state.left_out * seconds / trained)}" if trained else ""
        parts.append(f"saved {state.left_out:,} samples{saved}")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Write a time as people read it: 9.5 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {whole:02} s"
