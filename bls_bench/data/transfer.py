"""Batches on their way to the training device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def to_device(batches: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield the batches on `device`; to a GPU, each is copied while the one before it is trained on.

    The copy overlaps only if the batches lie in pinned memory.
    """
    if device.type != "cuda":
        for batch in batches:
            yield batch.to(device)
        return
    copies = torch.cuda.Stream(device)
    ahead: Tensor | None = None
    for batch in batches:
        with torch.cuda.stream(copies):
            copied = batch.to(device, non_blocking=True)
        if ahead is not None:
            yield ahead
        # Only now, after the step on the batch before was queued: that step must not wait for this copy.
        training = torch.cuda.current_stream(device)
        training.wait_stream(copies)
        copied.record_stream(training)  # Its memory is not free again until that stream is done with it.
        ahead = copied
    if ahead is not None:
        yield ahead
