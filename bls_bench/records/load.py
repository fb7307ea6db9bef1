"""How busy the machine was while a run was trained."""

from __future__ import annotations

import os
import sys
from threading import Event, Thread
from types import TracebackType

SECONDS = 5.0  # between two looks


class Load:
    """Notes, from `with` to its end, the highest one-minute load average of the machine.

    A run's time says something only if it had the machine to itself, and only the load tells what else ran.
    highest: None before the end, and on a system that has no load average.
    """

    def __init__(self) -> None:
        self.highest: float | None = None
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Load:
        if sys.platform != "win32":
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._done.set()
            self._thread.join()

    def _watch(self) -> None:
        over, highest = False, 0.0
        while not over:
            over = self._done.wait(SECONDS)
            highest = max(highest, os.getloadavg()[0])
        self.highest = highest
