"""FSDP: every process keeps a part of the weights, gradients and optimizer's state, for large models.

Layers are gathered block by block as the model runs, so no process holds the whole of it in a step. To build
it, and to go on from a checkpoint, every process does, on the host.
"""

from datetime import timedelta
from typing import Any

import torch
from lightning_fabric.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.optim import Optimizer

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def strategy(processes: int, timeout: timedelta) -> ModelParallelStrategy:
    return ModelParallelStrategy(shard, data_parallel_size=processes, tensor_parallel_size=1, timeout=timeout)


def shard(model: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Shard the blocks of the model, which are what its lists of layers hold, and then the rest.

    Weights become contiguous, which FSDP asks for.
    """
    model.to(memory_format=torch.contiguous_format)
    lists = [module for module in model.modules() if isinstance(module, nn.Sequential | nn.ModuleList)]
    # The innermost first: a block takes what those within it have not.
    for part in reversed(lists):
        for block in part.children():
            # A list of lists has no forward pass of its own to be gathered for.
            if not isinstance(block, nn.ModuleList) and any(True for _ in block.parameters()):
                fully_shard(block, mesh=mesh["data_parallel"])
    fully_shard(model, mesh=mesh["data_parallel"])  # in place
    return model


def is_sharded(model: nn.Module) -> bool:
    return isinstance(model, FSDPModule)


def whole_state(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Gather the states of model and optimizer on process 0; empty elsewhere. All have to make this call."""
    weights, moments = get_state_dict(model, optimizer, options=WHOLE)
    return {"model": weights, "optimizer": moments}


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    return get_model_state_dict(model, options=WHOLE)  # type: ignore[return-value]


def load_whole(model: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Give every process its part of the states that `whole_state` gathered."""
    set_state_dict(
        model,
        optimizer,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizer"],
        options=StateDictOptions(full_state_dict=True),
    )
