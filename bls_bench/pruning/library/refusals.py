"""What the library refuses, in words: one line each, with the way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

NO_EPOCH = "no epoch is running: update is for batches of a loader with sampler=handler.sampler"
NOT_KNOWN = (
    "it is not known which samples this loss is of: load with bls_bench.DataLoader, which knows with any "
    "number of workers (torch's own does with num_workers=0 only), or give update the indices"
)
STRAY = (
    "it is not known which samples this loss is of, for something else has read from the handler since: "
    "evaluate on handler.dataset, or train with bls_bench.DataLoader"
)
UPDATED = (
    "the batch in hand has been updated or skipped already: of several losses of one batch give the others "
    "to handler.weighted"
)
AHEAD = (
    "{count} samples were read before this batch and neither updated nor skipped: call handler.skip() for a "
    "batch without update; where something reads batches ahead (a prefetcher, Accelerate's prepare), keep "
    "handler.batch_indices with each batch and give update the indices, or see bls_bench.integrations"
)
OVER = "the epoch of this batch is over: end_epoch, or another iterator of the loader, has ended it"
NO_BATCH = (
    "drop_last leaves none of the {count} samples of epoch {epoch}: lower batch_size to at most {count}, or "
    "leave drop_last out"
)
NO_SHARE = "epoch {epoch} has fewer samples than there are processes, and none for this one"
NOT_DRAWN = (
    "this batch_sampler does not draw from handler.sampler: build it on that, as in "
    "BatchSampler(handler.sampler, 64, drop_last=False)"
)


def checked(loss: Tensor, count: int, name: str, per_sample: bool) -> Tensor:
    """Return the loss of `count` samples in the shape that the scorer of the handler `name` takes.

    Raises TypeError for one that is no floating-point tensor, or 0-d where one of each sample is needed;
    ValueError for another shape, or no samples.
    """
    if not isinstance(loss, torch.Tensor) or not loss.is_floating_point():
        found = loss.dtype if isinstance(loss, torch.Tensor) else type(loss).__name__
        raise TypeError(f"the loss must be a floating-point tensor, got {found}")
    if count == 0:
        raise ValueError("a batch must hold at least 1 sample, got none: call handler.skip() for it")
    if loss.ndim == 0:
        if per_sample:
            raise TypeError(
                f"{name} needs the loss of each sample, shape ({count},), and got one mean loss: give the "
                f"criterion reduction='none', or wrap it in BLS: BLS({name}(...)).proxy()"
            )
        return loss
    if loss.ndim > 1 or loss.size(0) != count:
        shape = tuple(loss.shape)
        raise ValueError(f"expected {count} losses, one a sample, got shape {shape}{_way_out(shape, count)}")
    return loss if per_sample else loss.mean()


def kept_mean(losses: Tensor) -> Tensor:
    """Return the mean of losses of any shape, detached, in float32 at least: bfloat16 has 3 digits."""
    return losses.detach().mean(dtype=torch.promote_types(losses.dtype, torch.float32))


def _way_out(shape: tuple[int, ...], count: int) -> str:
    """Say how losses of this shape become `count`, if they can."""
    if shape == (count, 1):
        return ": take loss.squeeze(1)"
    if len(shape) > 1 and shape[0] == count:
        masked = "(loss * mask).sum(1) / mask.sum(1), or " if len(shape) == 2 else ""
        return f": take {masked}loss.flatten(1).mean(1)"
    if len(shape) == 1 and shape[0] and shape[0] % count == 0:
        return f": if these are {shape[0] // count} a sample, take loss.view({count}, -1).mean(1)"
    return ""


def given(indices: Tensor | Sequence[int], num_samples: int) -> Tensor:
    """Return indices that the user gives as (b,) int64 on the CPU; raises TypeError or ValueError."""
    indices = torch.as_tensor(indices).detach().cpu()
    if indices.ndim != 1 or indices.is_floating_point() or indices.dtype == torch.bool:
        raise TypeError(f"indices must be (b,) integers, got {indices.dtype} {tuple(indices.shape)}")
    indices = indices.long().clone()
    wrong = indices[(indices < 0) | (indices >= num_samples)]
    if len(wrong):
        raise ValueError(f"indices must lie in [0, {num_samples}), got {int(wrong[0])}")
    if len(indices.unique()) < len(indices):
        raise ValueError("indices must name each sample once, and name one twice")
    return indices


def checked_mask(mask: Tensor, count: int) -> Tensor:
    """Return the (b,) bool mask on the CPU; raises TypeError for anything else."""
    if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool or mask.shape != (count,):
        found = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, torch.Tensor) else type(mask).__name__
        raise TypeError(f"mask must be a bool tensor of shape ({count},), got {found}")
    return mask.detach().cpu()
