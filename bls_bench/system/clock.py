"""Where an epoch's time and memory go, read without making any step wait for the device."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from bls_bench.system.lazy import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PARTS = ("train", "data", "compile", "select", "eval", "cpu")
# What the CPU time of a run is made of.
COUNTED = ("train", "select")
Item = TypeVar("Item")


class Clock:
    """Seconds of one epoch, by what they went into.

    train holds data and compile; select and eval stand beside it. On a GPU the host runs ahead of the
    device, so data is the time that the host was held up, and only train as a whole, which ends with a
    wait for the device, is what the device needed. cpu is the CPU time of this process, all its threads
    together, for train and select; unlike the others it does not depend on what else the machine does.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        started, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - started
            if part in COUNTED:
                self.seconds["cpu"] += time.process_time() - cpu

    def waiting(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items; the time it takes to get each counts as data."""
        iterator = iter(items)
        while True:
            with self.time("data"):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def report(self, samples: int) -> dict[str, float]:
        """Return the seconds of each part, and the rate at which `samples` were trained on."""
        return _with_rate({f"{part}_seconds": self.seconds[part] for part in PARTS}, samples)


def totals(history: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the seconds, rate and peak memory of a run from those of its epochs."""
    seconds = {f"{part}_seconds": sum(epoch[f"{part}_seconds"] for epoch in history) for part in PARTS}
    peaks = [epoch["peak_memory_mib"] for epoch in history]
    peak = None if None in peaks else max(peaks)
    return _with_rate(seconds, sum(epoch["trained"] for epoch in history)) | {"peak_memory_mib": peak}


def _with_rate(seconds: dict[str, float], samples: int) -> dict[str, float]:
    busy = seconds["train_seconds"] - seconds["compile_seconds"]
    return seconds | {"samples_per_second": samples / max(busy, 1e-9)}


def start_peak(device: torch.device) -> None:
    """Forget the device's peak memory so far; that of a process on the CPU cannot be forgotten."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_mib(device: torch.device) -> float | None:
    """Return the peak memory in MiB: tensors on a GPU, else the whole process since its start, if known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if resource is None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def synchronize(device: torch.device) -> None:
    """Wait for all work queued on the device: once an epoch, so that its time is real."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
