"""One-dimensional k-means without a Python loop over samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def kmeans1d(values: Tensor, k: int, max_iterations: int = 300) -> Tensor:
    """Group `values` (n,) into k groups by Lloyd's algorithm; returns the groups (n,) integers.

    Groups are numbered from the smallest mean to the largest. In one dimension a group is an interval,
    so after one sort each iteration costs k binary searches, whatever n is. It starts from evenly
    spaced quantiles; a group that runs empty takes over the point farthest from its own centre. Fewer
    than k different values cannot make k groups: then the sorted values are cut into k equal chunks, so
    that no group is ever empty (n >= k).

    Raises ValueError for k < 1 or NaN among the values.
    """
    if k < 1:
        raise ValueError(f"the number of groups must be at least 1, got {k}")
    if values.isnan().any():
        raise ValueError("k-means got NaN among its values")
    ordered = sort(values)
    distinct = 1 + int((ordered[1:] > ordered[:-1]).sum()) if len(ordered) else 0
    if distinct < k:
        groups = torch.empty(len(values), dtype=torch.int64)
        groups[values.argsort(stable=True)] = torch.arange(len(values)) * k // max(len(values), 1)
        return groups
    # Few cuts: to compare with each is several times as fast as a binary search for every sample.
    groups = torch.zeros(len(values), dtype=torch.int32)
    for cut in _lloyd(ordered, k, max_iterations):
        groups += values >= cut
    return groups


def sort(values: Tensor) -> Tensor:
    """Sort (n,) floats. numpy's sort makes no index beside the values, and is many times faster."""
    return torch.from_numpy(np.sort(values.numpy()))


def _lloyd(ordered: Tensor, k: int, max_iterations: int) -> Tensor:
    """Return the k - 1 cuts between the groups of the sorted (n,) values, each the first of its group."""
    n = len(ordered)
    sums = torch.zeros(n + 1, dtype=torch.float64)
    sums[1:].copy_(ordered).sub_(ordered[0].double()).cumsum_(0)
    centres = ordered[torch.linspace(0, n - 1, 2 * k + 1).long()[1::2]].double()
    bounds = ordered.new_zeros(0, dtype=torch.int64)
    for _ in range(max_iterations):
        starts = torch.searchsorted(ordered, rounded_up((centres[1:] + centres[:-1]) / 2, ordered.dtype))
        new = torch.cat([starts.new_zeros(1), starts, starts.new_full((1,), n)])
        if torch.equal(new, bounds):
            break
        bounds, sizes = new, new.diff()
        means = ordered[0] + (sums[bounds[1:]] - sums[bounds[:-1]]) / sizes.clamp(min=1)
        centres = torch.where(sizes > 0, means, centres)
        if (sizes == 0).any():
            centres = _refill(ordered, bounds, centres)
    return ordered[bounds[1:-1]]


def rounded_up(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The smallest numbers of `dtype` that are not below the (m,) float64 values."""
    nearest = values.to(dtype)
    above = nearest.nextafter(torch.full_like(nearest, torch.inf))
    return torch.where(nearest.double() < values, above, nearest)


def _refill(ordered: Tensor, bounds: Tensor, centres: Tensor) -> Tensor:
    """Move the centre of one empty group to the point farthest from the centre of its own group."""
    sizes = bounds.diff()
    filled = sizes > 0
    ends = torch.cat([bounds[:-1][filled], bounds[1:][filled] - 1])
    distances = (ordered[ends].double() - centres[filled].repeat(2)).abs()
    centres = centres.clone()
    centres[(~filled).nonzero()[0]] = ordered[ends[distances.argmax()]].double()
    return centres.sort().values
