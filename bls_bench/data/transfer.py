"""Batches on their way to the training device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bls_bench.system.lazy import torch


def moved(batch: Any, device: torch.device, non_blocking: bool = False) -> Any:
    """Return a batch with its tensors on `device`: a tensor, or a tuple, list or dict of such."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=non_blocking)
    if isinstance(batch, dict):
        return {name: moved(value, device, non_blocking) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(moved(value, device, non_blocking) for value in batch)
    return batch


def tensors(batch: Any) -> Iterator[torch.Tensor]:
    """Yield all tensors of a batch."""
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, dict | list | tuple):
        for value in batch.values() if isinstance(batch, dict) else batch:
            yield from tensors(value)


def to_device(batches: Iterable[Any], device: torch.device) -> Iterator[Any]:
    """Yield the batches on `device`; to a GPU, each is copied while the one before it is trained on.

    The copy overlaps only if the batches lie in pinned memory.
    """
    if device.type != "cuda":
        for batch in batches:
            yield moved(batch, device)
        return
    copies = torch.cuda.Stream(device)
    ahead: list[Any] = []
    for batch in batches:
        with torch.cuda.stream(copies):
            copied = moved(batch, device, non_blocking=True)
        yield from ahead
        # Only now, after the step on the batch before was queued: that step must not wait for this copy.
        training = torch.cuda.current_stream(device)
        training.wait_stream(copies)
        for tensor in tensors(copied):
            tensor.record_stream(training)  # Its memory is not free again until that stream is done with it.
        ahead = [copied]
    yield from ahead
