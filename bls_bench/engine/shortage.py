"""What a run says in one line where memory, or one of its processes, is gone."""

from __future__ import annotations

import re

import torch

from bls_bench.config.schema import Trainer
from bls_bench.system.errors import ResourceError, folded

AGAIN = "the same command goes on from the last checkpoint"
# As torch tells of them: there are no classes of their own.
NO_MEMORY = re.compile("DefaultCPUAllocator|not enough memory|Cannot allocate memory")
NO_WORKER = re.compile(r"DataLoader worker \(pid\(?s?\)? [^)]*\) (.*)")
NO_ANSWER = re.compile("[Tt]imed out|[Tt]imeout")
NO_PROCESS = re.compile("[Cc]onnection (closed|reset|refused)|Broken pipe")


def explained(error: Exception, trainer: Trainer) -> ResourceError | None:
    """Return the error that says what to do; None for one of another kind."""
    text = folded(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or NO_MEMORY.search(text):
        return ResourceError(
            f"out of memory: {_start(text)}: take a smaller trainer.batch_size, the same in parts by "
            f"trainer.accumulate, or dataset.in_memory=false; {AGAIN}"
        )
    worker = NO_WORKER.search(text)
    if worker is not None:
        return ResourceError(
            f"a process that reads data is gone ({_start(worker[1])}), often for want of memory: take fewer "
            f"by dataset.workers=N, 0 for none; {AGAIN}"
        )
    if not isinstance(error, RuntimeError) or not torch.distributed.is_initialized():
        return None
    if NO_ANSWER.search(text):
        return ResourceError(
            f"another process of the run did not answer within trainer.timeout={trainer.timeout:g} seconds: "
            f"look whether it hangs, or wait longer; {AGAIN}"
        )
    if NO_PROCESS.search(text):
        return ResourceError(f"another process of the run has ended, see what it said; {AGAIN}")
    return None


def _start(text: str) -> str:
    """The first sentence of a message, not over 120 letters."""
    return re.split(r"[.:] ", text)[0][:120].rstrip(".") or "nothing more is known"
