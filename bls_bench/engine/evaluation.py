"""The metric of a whole split, exact under any number of processes."""

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import nn

from bls_bench.data.base import Split
from bls_bench.engine.sharding import is_sharded
from bls_bench.tasks.base import Task

EVAL_BATCH = 512


@torch.no_grad()
def evaluate(model: nn.Module, task: Task, split: Split, fabric: Fabric) -> float:
    """Return the task's metric over `split`; every process has to make this call.

    model: the bare one. DDP's wrapper would wait for ranks that have a batch more, and each rank's own
    running statistics would count. Process 0's are taken, as in DDP's next training step.
    """
    if fabric.world_size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
    model.eval()
    own = torch.arange(fabric.global_rank, len(split), fabric.world_size)
    total = torch.zeros((), dtype=torch.float64, device=fabric.device)
    batches = list(own.split(EVAL_BATCH)) if len(own) else []
    steps = len(batches)
    if is_sharded(model):
        # It runs on all processes at once: those with a batch less run it on one that does not count.
        whole = -(-len(split) // (EVAL_BATCH * fabric.world_size))
        batches += [torch.zeros(1, dtype=torch.int64)] * (whole - steps)
    for number, (inputs, targets) in enumerate(split.batches(batches, 0, fabric.device)):
        with fabric.autocast():
            values = task.evaluate(model, inputs, targets)
        if number < steps:
            total += values.sum()
    if fabric.world_size > 1:
        dist.all_reduce(total)
    return float(total) / len(split)
