"""The processes of a run, and what they tell each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def process_rank() -> tuple[int, int]:
    """Return this process' rank and the number of processes; (0, 1) without torch.distributed."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def gather(values: Tensor) -> list[Tensor]:
    """All-gather (n,) tensors whose lengths may differ between processes; the result is on the CPU."""
    device = torch.device("cuda") if torch.distributed.get_backend() == "nccl" else torch.device("cpu")
    lengths = [
        torch.zeros(1, dtype=torch.int64, device=device) for _ in range(torch.distributed.get_world_size())
    ]
    torch.distributed.all_gather(lengths, torch.tensor([len(values)], device=device))
    longest = max(int(length) for length in lengths)
    padded = torch.zeros(longest, dtype=values.dtype, device=device)
    padded[: len(values)] = values.to(device)
    parts = [torch.empty_like(padded) for _ in lengths]
    torch.distributed.all_gather(parts, padded)
    return [part[: int(length)].cpu() for part, length in zip(parts, lengths, strict=True)]
