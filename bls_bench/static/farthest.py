"""Farthest-first traversal, which k-center greedy and contextual diversity share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def farthest_first(
    distances: Callable[[int], Tensor], n: int, count: int, generator: torch.Generator
) -> Tensor:
    """Return `count` >= 1 of n samples, (count,) int64: a random one, then always the farthest from those.

    distances: gives the (n,) distances to sample i, none below 0. Memory is linear in n.
    """
    chosen = [int(torch.randint(n, (), generator=generator))]
    nearest = torch.full((n,), torch.inf)
    while len(chosen) < count:
        nearest = torch.minimum(nearest, distances(chosen[-1]))
        nearest[chosen[-1]] = -torch.inf
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)
