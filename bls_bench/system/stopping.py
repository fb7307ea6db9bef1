"""Ctrl-C, SIGTERM and what else asks a run to stop end it between two steps, after a checkpoint."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from bls_bench.system.lazy import torch

# SIGHUP: the terminal is gone; SIGUSR1: Slurm's notice before its time is up. Windows has neither.
STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
]
# Under several processes the signal must be agreed on, which waits for the device: not at every step.
AGREE_EVERY = 20


class Interrupted(KeyboardInterrupt):
    """A signal ended the run; its checkpoint is written. A sweep ends with it too."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number

    @property
    def exit_code(self) -> int:
        return 128 + self.number

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.number, str(self))


class StopSignal:
    """Notes the first of the signals STOPPING within a `with` block; a second one acts as it always does."""

    def __init__(self) -> None:
        self.number = 0
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        for number in STOPPING:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.__exit__()

    def received(self, step: int, steps: int, device: torch.device) -> bool:
        """Whether to stop after `step` of the epoch's `steps`; the same answer on every process."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self.number > 0
        if step % AGREE_EVERY and step < steps:
            return False
        number = torch.tensor(self.number, device=device)
        torch.distributed.all_reduce(number, op=torch.distributed.ReduceOp.MAX)
        self.number = int(number)
        return self.number > 0
