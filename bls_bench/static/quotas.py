"""What static pruners share that keep so many samples of each group, and these at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bls_bench.pruning.selection import permutation
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def drawn(groups: Tensor, quotas: Tensor, generator: torch.Generator) -> Tensor:
    """Draw `quotas[g]` samples of each group g without replacement, (sum of quotas,) int64.

    groups: (n,) int64, the group of each sample; quotas: (G,) int64, none above the size of its group.
    """
    order = permutation(len(groups), generator).long()
    order = order[groups[order].argsort(stable=True)]  # group by group, within each at random
    sizes = groups.bincount(minlength=len(quotas))
    place = torch.arange(len(groups)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    return order[place < quotas.repeat_interleave(sizes)]
