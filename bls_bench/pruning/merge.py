"""Bring the visits of all processes together, once an epoch and exactly."""

import torch
import torch.distributed as dist
from torch import Tensor

from bls_bench.pruning.visits import Visits


def process_rank() -> tuple[int, int]:
    """Return this process' rank and the number of processes; (0, 1) without torch.distributed."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def merge(visits: Visits) -> Visits:
    """Return the visits of all processes, in the order of their ranks; a single process' own unchanged.

    Indices travel as int64 and losses as float32, so nothing is rounded, whatever the number of samples.
    """
    if process_rank()[1] == 1:
        return visits
    sizes = gather(visits.batch_sizes)
    parts = gather(torch.zeros(0) if visits.losses is None else visits.losses)
    signals = gather(torch.zeros(0) if visits.signals is None else visits.signals)
    # A process that made no batch has nothing to say about the kind of the losses.
    given = [len(part) > 0 for part, own in zip(parts, sizes, strict=True) if len(own)]
    if len(set(given)) > 1:
        raise ValueError("some processes recorded per-sample losses and others batch losses")
    return Visits(
        indices=torch.cat(gather(visits.indices)),
        batch_sizes=torch.cat(sizes),
        batch_losses=torch.cat(gather(visits.batch_losses)),
        losses=torch.cat(parts) if any(given) else None,
        batches_per_process=[len(part) for part in sizes],
        signals=torch.cat(signals) if any(len(part) for part in signals) else None,
    )


def gather(values: Tensor) -> list[Tensor]:
    """All-gather (n,) tensors whose lengths may differ between processes; the result is on the CPU."""
    device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
    lengths = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(dist.get_world_size())]
    dist.all_gather(lengths, torch.tensor([len(values)], device=device))
    longest = max(int(length) for length in lengths)
    padded = torch.zeros(longest, dtype=values.dtype, device=device)
    padded[: len(values)] = values.to(device)
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return [part[: int(length)].cpu() for part, length in zip(parts, lengths, strict=True)]
