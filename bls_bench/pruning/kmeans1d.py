"""One-dimensional k-means by dynamic programming, without a Python loop over samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

GRID = 1024
"""Most places at which the dynamic program may cut: it takes GRID^2 steps a group, 8 MiB of memory."""


def kmeans1d(values: Tensor, k: int) -> Tensor:
    """Group `values` (n,) into k groups of least inertia; returns the groups (n,) integers.

    Groups are numbered from the smallest mean to the largest. In one dimension the best groups are
    intervals, and dynamic programming finds the best cuts (Wang and Song, Ckmeans.1d.dp, 2011): with up
    to GRID values the result is the optimum. More values are first taken together in GRID bins, half of
    the bins of as many values, half of the same width; Lloyd's algorithm then moves the cuts to where
    they are best for the values themselves. Fewer than k different values cannot make k groups: then the
    sorted values are cut into k equal chunks, so that no group is ever empty (n >= k).

    Raises ValueError for k < 1 or NaN among the values.
    """
    if k < 1:
        raise ValueError(f"the number of groups must be at least 1, got {k}")
    if values.isnan().any():
        raise ValueError("k-means got NaN among its values")
    ordered = sort(values)
    rises = ordered[1:] > ordered[:-1]
    distinct = 1 + int(rises.count_nonzero()) if len(ordered) else 0
    if distinct < k:
        groups = torch.empty(len(values), dtype=torch.int64)
        groups[values.argsort(stable=True)] = torch.arange(len(values)) * k // max(len(values), 1)
        return groups
    # Few cuts: to compare with each is several times as fast as a binary search for every sample.
    groups = torch.zeros(len(values), dtype=torch.int32)
    for cut in _cuts(ordered, rises, distinct, k):
        groups += values >= cut
    return groups


def sort(values: Tensor) -> Tensor:
    """Sort (n,) floats. numpy's sort makes no index beside the values, and is many times faster."""
    return torch.from_numpy(np.sort(values.numpy()))


def _cuts(ordered: Tensor, rises: Tensor, distinct: int, k: int) -> Tensor:
    """Return the k - 1 cuts between the groups of the sorted (n,) values, each the first of its group.

    rises: (n - 1,) bool, whether a value is above the one before; distinct: how many values differ.
    """
    # In place: of a million values each copy costs more than what is done with it.
    sums, squares = (torch.zeros(len(ordered) + 1, dtype=torch.float64) for _ in range(2))
    for part in (sums, squares):
        part[1:].copy_(ordered).sub_(ordered[0].double())
    sums.cumsum_(0)
    squares.square_().cumsum_(0)
    places = _places(ordered, rises, distinct, k)
    places = torch.cat([places, places.new_full((1,), len(ordered))])
    bounds = places[_program(places.double(), sums[places], squares[places], k)]
    while True:
        means = ordered[0] + (sums[bounds[1:]] - sums[bounds[:-1]]) / bounds.diff()
        inner = torch.searchsorted(ordered, rounded_up((means[1:] + means[:-1]) / 2, ordered.dtype))
        moved = torch.cat([bounds[:1], inner, bounds[-1:]])
        if not _inertia(moved, sums, squares) < _inertia(bounds, sums, squares):
            return ordered[bounds[1:-1]]
        bounds = moved


def _places(ordered: Tensor, rises: Tensor, distinct: int, k: int) -> Tensor:
    """Choose up to GRID places where a group may begin, never below k; the first is 0.

    No cut goes through a run of equal values: a place is the first of one.
    """
    if distinct > GRID:
        even = torch.linspace(0, len(ordered) - 1, GRID // 2).long()
        levels = torch.linspace(float(ordered[0]), float(ordered[-1]), GRID // 2, dtype=torch.float64)
        wide = torch.searchsorted(ordered, levels.to(ordered.dtype)).clamp_(max=len(ordered) - 1)
        places = torch.searchsorted(ordered, ordered[torch.cat([even, wide])]).unique()
        if len(places) >= k:
            return places
    starts = torch.cat([rises.new_ones(1), rises]).nonzero().squeeze(1)
    if distinct <= GRID:
        return starts
    # Nearly all values are equal, and one is far away: spread over the different ones.
    return starts[torch.linspace(0, len(starts) - 1, max(GRID, k), dtype=torch.float64).long()].unique()


def _program(counts: Tensor, sums: Tensor, squares: Tensor, k: int) -> Tensor:
    """Return k + 1 of the m + 1 places, (k + 1,) indices: the bounds of the k groups of least inertia.

    counts, sums, squares: of the values before each place, (m + 1,) float64.
    """
    size = counts[None] - counts[:, None]
    scratch = (sums[None] - sums[:, None]).square_().div_(size)
    cost = (squares[None] - squares[:, None]).sub_(scratch).clamp_(min=0).masked_fill_(size <= 0, torch.inf)
    best, firsts = cost[0], []
    for _ in range(k - 1):
        best, first = torch.add(best[:, None], cost, out=scratch).min(dim=0)
        firsts.append(first)
    bounds = [len(counts) - 1]
    for first in reversed(firsts):
        bounds.append(int(first[bounds[-1]]))
    return torch.tensor([0, *reversed(bounds)])


def _inertia(bounds: Tensor, sums: Tensor, squares: Tensor) -> float:
    """Sum the squared distances to the means of the groups between the `bounds`; inf if one is empty."""
    sizes = bounds.diff()
    if not bool((sizes > 0).all()):
        return torch.inf
    parts = squares[bounds].diff() - sums[bounds].diff().square() / sizes
    return float(parts.sum())


def rounded_up(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The smallest numbers of `dtype` that are not below the (m,) float64 values."""
    nearest = values.to(dtype)
    above = nearest.nextafter(torch.full_like(nearest, torch.inf))
    return torch.where(nearest.double() < values, above, nearest)
