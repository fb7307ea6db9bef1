"""What the steps of an epoch are made of: whose batch is how large, and what comes beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from bls_bench.config.run import Config
from bls_bench.data.base import Data
from bls_bench.pruning.lengths import by_length
from bls_bench.pruning.selection import Selection
from bls_bench.system.errors import InputError
from bls_bench.tasks.objective import StepBatch


def share_batch(config: Config, num_samples: int, world_size: int) -> int:
    """Return each process' share of the batch; raises InputError for sizes that do not fit."""
    size = config.trainer.batch_size
    if size > num_samples:
        raise InputError(f"trainer.batch_size must be at most the {num_samples} training samples, got {size}")
    if size % world_size:
        raise InputError(
            f"trainer.batch_size={size} cannot be shared by {world_size} processes: take a multiple"
        )
    try:
        config.pruner.check_batches(-(-num_samples // size))
    except ValueError as error:
        raise InputError(f"pruner.{error}") from None
    return size // world_size


def check_beside(config: Config, data: Data, world_size: int) -> None:
    """Raise InputError where the batches beside cannot be shared by the processes, or cut into parts."""
    for name, stream in data.beside.items():
        size, accumulate = config.trainer.batch_size, config.trainer.accumulate
        if stream.size % (world_size * accumulate):
            raise InputError(
                f"trainer.batch_size={size} brings {stream.size} {name} samples a step, which "
                f"{world_size} processes with trainer.accumulate={accumulate} cannot share"
            )


def arrangement(config: Config, data: Data) -> Callable[[Selection, torch.Generator], Selection] | None:
    """Return what orders the samples of an epoch, if the config asks for that.

    Raises InputError for data without lengths.
    """
    if not config.trainer.by_length:
        return None
    if data.lengths is None:
        raise InputError(
            f"trainer.by_length=true is for samples of different lengths, which "
            f"dataset={config.dataset.name} does not have: leave it at false"
        )
    return partial(by_length, data.lengths, config.trainer.batch_size)


def fed(data: Data, steps: Sequence[list[Tensor]], first: int, epoch: int, fabric: Fabric) -> Iterator[Any]:
    """Yield what the model gets for each part of each step, as `Objective.loss` takes it.

    steps: for each step the (b,) samples of its parts. first: the number of the first of them.
    """
    parts = [part for step in steps for part in step]
    own = data.train.batches(parts, epoch, fabric.device)
    if not data.beside:
        return own
    names = list(data.beside)
    streams = [
        stream.batches(_rows(steps, first, stream.size, fabric), epoch, fabric.device)
        for stream in data.beside.values()
    ]
    return (
        StepBatch(batch, dict(zip(names, beside, strict=True)))
        for batch, *beside in zip(own, *streams, strict=True)
    )


def _rows(steps: Sequence[list[Tensor]], first: int, size: int, fabric: Fabric) -> list[tuple[int, Tensor]]:
    """Return for each part of each step which rows of the batch beside are this process'."""
    own = torch.arange(fabric.global_rank, size, fabric.world_size)
    return [
        (number, rows) for number, parts in enumerate(steps, first) for rows in own.tensor_split(len(parts))
    ]
