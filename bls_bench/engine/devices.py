"""Device, precision and processes, by Lightning Fabric."""

import os
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy, Strategy

from bls_bench.config.schema import Trainer
from bls_bench.engine import sharding
from bls_bench.system.errors import InputError


def make_fabric(trainer: Trainer) -> Fabric:
    """One process, or as many as torchrun has started.

    Raises InputError for a device that this machine does not have.
    """
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    total = int(os.environ.get("WORLD_SIZE", "1"))
    if trainer.device == "cuda" and not torch.cuda.is_available():
        raise InputError("trainer.device=cuda: torch sees no GPU here, allowed are cpu and auto")
    if trainer.device == "mps" and not torch.backends.mps.is_available():
        raise InputError("trainer.device=mps: this machine has none, allowed are cpu and auto")
    # Set either way, so that a run leaves nothing to the next one of this process.
    rounded = trainer.precision != "32" and torch.cuda.is_available()
    torch.set_float32_matmul_precision("high" if rounded else "highest")
    torch.backends.cudnn.allow_tf32 = rounded
    fabric = Fabric(
        accelerator=trainer.device,
        devices=local,
        num_nodes=total // local,
        strategy=_strategy(trainer, total),
        precision="bf16-mixed" if trainer.precision == "bf16-mixed" else "32-true",
    )
    fabric.launch()
    return fabric


def _strategy(trainer: Trainer, processes: int) -> str | Strategy:
    if processes == 1:
        return "auto"
    timeout = timedelta(seconds=trainer.timeout)
    if trainer.strategy == "fsdp":
        return sharding.strategy(processes, timeout)
    return DDPStrategy(timeout=timeout)
