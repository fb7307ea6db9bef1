"""Checkpoints: written whole or not at all, sealed by a checksum, read without running code.

The one before the last is kept beside it, for the case that the last is damaged.
"""

from __future__ import annotations

import io
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bls_bench.system import durable, sealing
from bls_bench.system.errors import InputError, folded

# What the engine puts into one.
CONTENT = {"key", "training", "pruning", "generators", "step", "parts", "absence", "seconds", "history"}


def previous(path: Path) -> Path:
    """Return where the checkpoint before the one at `path` is kept."""
    return path.with_suffix(".previous.pt")


def save(path: Path, content: dict[str, Any]) -> None:
    """Write to a temporary file and rename it; the checkpoint that was there becomes the previous one.

    Raises InputError where it cannot be written, as on a full disk; what was there stays.
    """
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("w+b") as file:
            torch.save(content, file)
            sealing.seal(file)
            file.flush()
            durable.sync(file.fileno())
        if path.exists():
            path.replace(previous(path))
        durable.rename(temporary, path)
    except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as RuntimeError
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {folded(error)}") from None


def remove(path: Path) -> None:
    """Remove a checkpoint and the one before it."""
    path.unlink(missing_ok=True)
    previous(path).unlink(missing_ok=True)


def newest(path: Path) -> Path | None:
    """Return which checkpoint to go on from: the one at `path`, or if that is damaged the previous one.

    None if there is none at all. Says so where a damaged one is passed over; raises InputError where no
    whole one is left.
    """
    found = [one for one in (path, previous(path)) if one.exists()]
    for one in found:
        if sealing.payload(one.read_bytes()) is not None:
            for damaged in found[: found.index(one)]:
                print(f"{damaged} is damaged: going on from the one before it")
            return one
    if found:
        raise InputError(f"{found[0]} is no whole checkpoint: delete it to start the run afresh")
    return None


def read(path: Path) -> Any:
    """Return the content of a sealed file, all tensors on the CPU; None if it is damaged or no checkpoint."""
    payload = sealing.payload(path.read_bytes())
    if payload is None:
        return None
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError):
        return None


def load(path: Path, key: str, num_samples: int) -> dict[str, Any]:
    """Read the checkpoint of run `key`.

    Raises InputError for a file that is damaged, of another run, or of a data set of another length.
    """
    content = read(path)
    if not (isinstance(content, dict) and content.keys() >= CONTENT and _in_order(content)):
        raise InputError(f"{path} is no whole checkpoint: delete it to start the run afresh")
    if content["key"] != key:
        raise InputError(f"{path} belongs to run {content['key']}, not to {key}: move it away")
    if content["pruning"]["num_samples"] != num_samples:
        raise InputError(
            f"{path} was made with {content['pruning']['num_samples']} training samples, the data set has "
            f"{num_samples} now: move it away to start afresh"
        )
    return content


def _in_order(content: dict[str, Any]) -> bool:
    """Whether the parts are of the types and sizes that belong together."""
    pruning, step, history = content["pruning"], content["step"], content["history"]
    kinds = ((pruning, dict), (step, int), (history, list), (content["seconds"], dict))
    if (
        not all(isinstance(value, kind) for value, kind in kinds)
        or not {"epoch", "num_samples"} <= pruning.keys()
    ):
        return False
    return (
        step >= 0 and len(history) == pruning["epoch"] and len(content["parts"]) == len(content["generators"])
    )


def generators() -> dict[str, Any]:
    """Return the states of the global generators of this process."""
    state: Any = np.random.get_state()
    _, keys, *rest = state
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": [keys.tolist(), *rest],
    }


def restore_generators(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
    version, values, gauss = states["python"]
    random.setstate((version, tuple(values), gauss))
    keys, *rest = states["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), *rest))
