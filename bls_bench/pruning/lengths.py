"""Batches of samples of like length, for less padding: the same samples in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bls_bench.pruning.selection import Selection, permutation
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

POOL = 50  # batches that are sorted by length together


def pooled(lengths: Tensor, batch_size: int) -> Tensor:
    """Return positions (K,) int64 that sort each pool of POOL batches by length, the longest first.

    lengths: (K,) of the samples of an epoch, in their order.
    """
    pools = torch.arange(len(lengths)).split(POOL * batch_size)
    return torch.cat([pool[lengths[pool].argsort(descending=True, stable=True)] for pool in pools])


def by_length(
    lengths: Tensor, batch_size: int, selection: Selection, generator: torch.Generator
) -> Selection:
    """Return an epoch's samples with those of each batch of like length, the batches in random order.

    lengths: (N,) of all samples of the data set. The last batch stays last, since it may be a short one.
    """
    order = pooled(lengths[selection.indices], batch_size)
    batches = order.split(batch_size)
    mixed = [batches[place] for place in permutation(len(batches) - 1, generator).tolist()]
    where = torch.cat([*mixed, batches[-1]])
    weights = None if selection.weights is None else selection.weights[where]
    return Selection(selection.indices[where], weights, selection.prune_ratio)
