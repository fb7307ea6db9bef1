"""Checkpoints: written whole or not at all, read without running code."""

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bls_bench.system.errors import InputError, folded

# What the engine puts into one.
CONTENT = {"key", "training", "pruning", "generators", "step", "parts", "absence", "seconds", "history"}


def save(path: Path, content: dict[str, Any]) -> None:
    """Write to a temporary file and rename it; the previous checkpoint stays until then.

    Raises InputError where it cannot be written, as on a full disk.
    """
    temporary = path.with_suffix(".tmp")
    try:
        torch.save(content, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as RuntimeError
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {folded(error)}") from None


def load(path: Path, key: str, num_samples: int) -> dict[str, Any]:
    """Read the checkpoint of run `key`, all tensors on the CPU.

    Raises InputError for a file cut short, of another run, or of a data set of another length.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = content["key"], content["pruning"]["num_samples"]
        whole = content.keys() >= CONTENT
    except (RuntimeError, EOFError, OSError, KeyError, TypeError, pickle.UnpicklingError):
        whole = False
    if not whole:
        raise InputError(f"{path} is no whole checkpoint: delete it to start the run afresh")
    if found[0] != key:
        raise InputError(f"{path} belongs to run {found[0]}, not to {key}: move it away to start afresh")
    if found[1] != num_samples:
        raise InputError(
            f"{path} was made with {found[1]} training samples, the data set now has {num_samples}: "
            "move it away to start afresh"
        )
    return content


def generators() -> dict[str, Any]:
    """Return the states of the global generators of this process."""
    _, keys, *rest = np.random.get_state()
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
