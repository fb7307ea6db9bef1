"""One-dimensional k-means without a Python loop over samples."""

import torch
from torch import Tensor


def kmeans1d(values: Tensor, k: int, max_iterations: int = 300) -> Tensor:
    """Group `values` (n,) into k groups by Lloyd's algorithm; returns the groups (n,) int64.

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
    # The cuts are among the values, so they are exact in the values' own precision.
    cuts = _lloyd(ordered.double(), k, max_iterations).to(values.dtype)
    return torch.bucketize(values, cuts, right=True)


def sort(values: Tensor) -> Tensor:
    """Sort (n,) floats; those of 32 bits as the integers of the same order, which is several times faster."""
    if values.dtype != torch.float32:
        return values.sort().values
    bits = values.view(torch.int32)
    # Negative floats run backwards in their bits: flipping all but the sign turns them round, and back.
    keys = (bits ^ (bits >> 31 & 0x7FFFFFFF)).long().sort().values.int()
    return (keys ^ (keys >> 31 & 0x7FFFFFFF)).view(torch.float32)


def _lloyd(ordered: Tensor, k: int, max_iterations: int) -> Tensor:
    """Return the k - 1 cuts between the groups of the sorted (n,) float64 values; a cut opens its group."""
    n = len(ordered)
    sums = ordered.new_zeros(n + 1)
    torch.sub(ordered, ordered[0], out=sums[1:]).cumsum_(0)
    centres = ordered[torch.linspace(0, n - 1, 2 * k + 1).long()[1::2]]
    bounds = None
    for _ in range(max_iterations):
        starts = torch.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        new = torch.cat([starts.new_zeros(1), starts, starts.new_full((1,), n)])
        if bounds is not None and torch.equal(new, bounds):
            break
        bounds, sizes = new, new.diff()
        means = ordered[0] + (sums[bounds[1:]] - sums[bounds[:-1]]) / sizes.clamp(min=1)
        centres = torch.where(sizes > 0, means, centres)
        if (sizes == 0).any():
            centres = _refill(ordered, bounds, centres)
    return ordered[bounds[1:-1]]


def _refill(ordered: Tensor, bounds: Tensor, centres: Tensor) -> Tensor:
    """Move the centre of one empty group to the point farthest from the centre of its own group."""
    sizes = bounds.diff()
    filled = sizes > 0
    ends = torch.cat([bounds[:-1][filled], bounds[1:][filled] - 1])
    distances = (ordered[ends] - centres[filled].repeat(2)).abs()
    centres = centres.clone()
    centres[(~filled).nonzero()[0]] = ordered[ends[distances.argmax()]]
    return centres.sort().values
