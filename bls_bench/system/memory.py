"""How much memory there is, and whether something fits into it."""

from __future__ import annotations

import os
from pathlib import Path

from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.system.processes import process_rank

CHOICES = ("auto", "true", "false")
CGROUP = Path("/sys/fs/cgroup")


def keep_in_memory(wanted: str, needed: int, device: torch.device) -> bool:
    """Whether to keep `needed` bytes on `device`; they pass through the host's memory on their way.

    auto keeps what takes at most half of the free memory, for training needs some too, and says so.
    Raises InputError where true does not fit.
    """
    if wanted == "false":
        return False
    free = min(free_bytes(device), free_bytes(torch.device("cpu")))
    sizes = f"the images take {needed / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB are free on {device}"
    if wanted == "true":
        if needed > free:
            raise InputError(f"dataset.in_memory=true does not fit, allowed are false and auto: {sizes}")
        return True
    kept = needed <= free / 2
    if process_rank()[0] == 0:
        print(f"dataset.in_memory=auto: {str(kept).lower()}, {sizes}")
    return kept


def free_bytes(device: torch.device) -> int:
    """Return the memory of `device` that this process may take; the host's is shared by its processes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return host_free() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def host_free() -> int:
    """Return the free memory of the host, or of the container; without /proc, all there is."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return _physical()
    available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = next(
            int(line.split()[1])
            for line in (CGROUP / "memory.stat").read_text().splitlines()
            if line.startswith("anon ")
        )
    except OSError:
        return available
    return available if limit == "max" else min(available, max(int(limit) - used, 0))


def _physical() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 2**33


def shortage(bytes_needed: int, free: int, what: str) -> str | None:
    """Return the message for `what` needing more than the `free` bytes, None if it does not."""
    if bytes_needed <= free:
        return None
    return (
        f"{what} need {bytes_needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free: take fewer "
        "samples (dataset.subset) or another method"
    )
