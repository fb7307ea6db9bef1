"""The samples of one epoch, in training order, and the weights of their losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


# Batches sliced at a time: enough to be fast, too few for their small tensors to take much memory.
BLOCK = 256


class Batch(NamedTuple):
    """One batch of a selection.

    indices: (b,) int64, positions in the data set.
    weights: (b,) float32, or None where every weight is 1.
    mean_weight: 0-d float32, the mean of `weights`, or None.
    """

    indices: Tensor
    weights: Tensor | None = None
    mean_weight: Tensor | None = None

    def weighted(self, loss: Tensor) -> Tensor:
        """Return the 0-d loss to differentiate; `loss` itself is never changed in place.

        A (b,) vector of per-sample losses gives mean(w_i * l_i). A 0-d batch loss L knows no samples,
        so all that can be done is L * mean(w).
        """
        if self.weights is None:
            return loss.mean()
        if loss.ndim == 0:
            return loss * self.mean_weight  # type: ignore[operator]
        return (loss * self.weights).mean()


@dataclass(frozen=True)
class Selection:
    """The samples that one epoch trains on.

    indices: (K,) int64 in training order, no index twice.
    weights: (K,) float32, weights[j] multiplies the loss of sample indices[j]; None means all 1.
    prune_ratio: the pruner's own rate that made it, which a `target` moves; None where there is none.
    """

    indices: Tensor
    weights: Tensor | None = None
    prune_ratio: float | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @classmethod
    def of(
        cls,
        chosen: Tensor,
        generator: torch.Generator,
        weights: Tensor | None = None,
        prune_ratio: float | None = None,
    ) -> Selection:
        """Shuffle the samples where `chosen`, (N,) bool, is true; `weights` (N,) float32 is by sample."""
        indices = chosen.nonzero().squeeze(1).to(index_type(len(chosen)))
        indices = indices.index_select(0, permutation(len(indices), generator)).long()
        return cls(indices, None if weights is None else weights.index_select(0, indices), prune_ratio)

    def batches(self, batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        """Yield the batches in order; slices and means are made for BLOCK batches at once.

        Raises ValueError for a batch_size below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        indices, weights = self.indices, self.weights
        if drop_last:
            whole = len(self) - len(self) % batch_size
            indices, weights = indices[:whole], None if weights is None else weights[:whole]
        if len(indices) == 0:
            return
        span = BLOCK * batch_size
        if weights is None:
            for part in indices.split(span):
                yield from map(Batch, part.split(batch_size))
            return
        for part, weight in zip(indices.split(span), weights.split(span), strict=True):
            full = len(weight) // batch_size * batch_size
            means = [*weight[:full].view(-1, batch_size).mean(1).unbind()]
            if full < len(weight):
                means.append(weight[full:].mean())
            yield from map(Batch, part.split(batch_size), weight.split(batch_size), means)

    def take(self, which: Tensor | slice) -> Selection:
        """Return the samples at a slice, or where a (K,) bool is true, in the same order."""
        return Selection(self.indices[which], None if self.weights is None else self.weights[which])

    def shard(self, rank: int, world_size: int) -> Selection:
        """Return the part of process `rank`: every `world_size`-th sample.

        All parts have the same length K // world_size, so every process makes the same number of steps
        on batches of the same sizes; up to world_size - 1 samples, a different random few each epoch,
        sit the epoch out instead of being trained on twice.
        """
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must lie in [0, world_size), got rank {rank} of {world_size}")
        shared = len(self) - len(self) % world_size
        return self.take(slice(rank, shared, world_size))

    def weights_to(self, device: torch.device | str) -> Selection:
        """Return the selection with its weights on `device`, one transfer for the whole epoch."""
        return self if self.weights is None else Selection(self.indices, self.weights.to(device))


def largest(values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return where the `count` largest of the (n,) values are, (count,) int64; NaN counts as larger than all.

    Ties are drawn at random: the order in which the samples are stored decides nothing.
    """
    order = permutation(len(values), generator).long()
    return order[values[order].topk(count, sorted=False).indices]


def systematic(chances: Tensor, generator: torch.Generator) -> Tensor:
    """Draw each of n samples at most once, sample i with probability `chances[i]`; (n,) bool.

    chances: (n,) float64 in [0, 1]. Systematic sampling in a random order: as many are drawn as the chances
    sum to, a fraction up or down.
    """
    order = permutation(len(chances), generator).long()
    start = torch.rand((), generator=generator, dtype=torch.float64)
    marks = torch.cat([start.view(1), start + chances[order].cumsum(0)]).floor()
    drawn = torch.zeros(len(chances), dtype=torch.bool)
    return drawn.index_copy_(0, order, marks[1:] > marks[:-1])


def permutation(n: int, generator: torch.Generator) -> Tensor:
    """Return the numbers 0 to n - 1 in a random order, (n,), of the type for n samples."""
    return torch.randperm(n, generator=generator, dtype=index_type(n))


def index_type(n: int) -> torch.dtype:
    """Return int32 where it can number n samples, since it is twice as fast and half as large; else int64."""
    return torch.int32 if n < 2**31 else torch.int64


def marked(indices: Tensor, num_samples: int) -> Tensor:
    """Say which samples the (K,) int64 `indices` name, (num_samples,) bool."""
    return torch.zeros(num_samples, dtype=torch.bool).index_fill_(0, indices, True)
