"""The losses that every sample had over a run, kept in its record."""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from bls_bench.pruning.visits import Visits
from bls_bench.system.errors import InputError


def write(path: Path, epoch: int, epochs: int, num_samples: int, visits: Visits) -> None:
    """Write one epoch into the .npy file at `path`, (2, epochs, num_samples) float32, made by epoch 0.

    [0]: each sample's own loss, NaN throughout where the task has only batch losses. [1]: the mean loss of
    the batch that the sample was in. Both are NaN for a sample that was left out, or an epoch not yet run.
    Raises InputError for a run that was begun without the file.
    """
    shape = (2, epochs, num_samples)
    if epoch == 0:
        table = open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        table[:] = np.nan
    elif path.exists():
        table = open_memmap(path, mode="r+")
    else:
        raise InputError(
            "trainer.save_losses must be on from the first epoch: this run was begun without it, "
            f"go on without it or delete {path.parent} to start afresh"
        )
    table[:, epoch] = np.nan
    indices = visits.indices.numpy()
    if visits.losses is not None:
        table[0, epoch, indices] = visits.losses.numpy()
    table[1, epoch, indices] = visits.per_sample(visits.batch_losses).numpy()
    table.flush()
