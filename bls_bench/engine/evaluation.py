"""The metrics of a whole split, exact under any number of processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import nn

from bls_bench.data.base import Split
from bls_bench.engine.sharding import is_sharded
from bls_bench.tasks.objective import Objective


@torch.no_grad()
def measured(model: nn.Module, objective: Objective, split: Split, fabric: Fabric) -> dict[str, float]:
    """Return the task's metrics over `split`; every process has to make this call.

    model: the bare one. DDP's wrapper would wait for ranks that have a batch more, and each rank's own
    running statistics would count. Process 0's are taken, as in DDP's next training step.
    """
    if fabric.world_size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
    model.eval()
    batch_size = objective.measured_at_once
    own = torch.arange(fabric.global_rank, len(split), fabric.world_size)
    batches = list(own.split(batch_size)) if len(own) else []
    measure, steps = objective.measure(), len(batches)
    if is_sharded(model):
        # It runs on all processes at once: those with a batch less run it on one that does not count.
        whole = -(-len(split) // (batch_size * fabric.world_size))
        batches += [torch.zeros(1, dtype=torch.int64)] * (whole - steps)
    for number, batch in enumerate(split.batches(batches, 0, fabric.device)):
        with fabric.autocast():
            (measure if number < steps else objective.measure()).update(model, batch)
    with fabric.autocast():
        measure.generate(model)
    if fabric.world_size > 1:
        measure.merge(gathered(measure.state(), fabric))
    return measure.compute()


def gathered(value: Any, fabric: Fabric) -> list[Any]:
    """Return the values of all processes, in the order of their ranks; a collective call."""
    if fabric.world_size == 1:
        return [value]
    values: list[Any] = [None] * fabric.world_size
    dist.all_gather_object(values, value)
    return values
