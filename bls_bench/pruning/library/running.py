"""One process' part of the epoch that runs: what is handed out, what is updated, with which weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import length_hint
from typing import TYPE_CHECKING

from bls_bench.pruning.selection import Batch, Selection
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


# Samples turned into Python integers at a time: enough to be fast, too few to need memory.
CHUNK = 1 << 14


class Running:
    """An epoch as the training loop of one process goes through it.

    indices: (K,) int64, what this process has to train on, in order.
    weights: (N,) float32, the weight of every sample in this epoch on all processes, 0 for a pruned one.
    in_hand: (b,) int64, the samples of the batch that the loop holds, None where that is not known.
    last: whether no batch comes after that one.
    given: whether the loop names the samples of its losses itself, and so may be behind its loader.
    """

    def __init__(
        self, selection: Selection, recorded: Tensor, rank: int, world_size: int, num_samples: int
    ) -> None:
        """`recorded` (m,) int64: what a resumed process has behind it already."""
        self.indices = selection.shard(rank, world_size).indices
        self.total = len(self.indices)
        self.weighted = selection.weights is not None
        self.weights = torch.zeros(num_samples)
        self.weights[selection.indices] = selection.weights if self.weighted else 1.0
        self._left = torch.zeros(num_samples, dtype=torch.bool)
        self._left[self.indices] = True
        self.recorded = len(recorded)
        if self.recorded:
            self._left[recorded] = False
            self.indices = self.indices[self._left[self.indices]]
        self.iterated = False
        self.in_hand: Tensor | None = None
        self.last = self.given = False
        self._chunk, self._chunk_end = iter([]), 0

    def draw(self) -> Iterator[int]:
        """Hand the indices out one by one, at the speed of a list."""
        self.iterated = True
        return chain.from_iterable(self._chunks())

    def _chunks(self) -> Iterator[Iterator[int]]:
        for chunk in self.indices.split(CHUNK):
            self._chunk = iter(chunk.tolist())
            self._chunk_end += len(chunk)
            yield self._chunk

    def hand_out(self, indices: list[int], last: bool) -> None:
        """Note that the loop gets a batch of these samples."""
        self.in_hand = torch.tensor(indices, dtype=torch.int64).view(-1)
        self.last = last

    def fetched(self, indices: list[int]) -> None:
        """Note a batch fetched in this process, if it is the one that the sampler drew last.

        Another one is no batch of the training loop, or drawn ahead: then none is known to be in hand.
        """
        drawn = self._chunk_end - length_hint(self._chunk)
        if self.indices[max(drawn - len(indices), 0) : drawn].tolist() == list(indices):
            self.hand_out(indices, last=drawn == len(self.indices))
        else:
            self.in_hand = None

    def batch(self, indices: Tensor, device: torch.device) -> Batch:
        """Return these samples with their weights, on the device of the loss."""
        if not self.weighted:
            return Batch(indices)
        weights = self.weights.index_select(0, indices)
        return Batch(indices, weights.to(device, non_blocking=True), weights.mean())

    def awaits(self, indices: Tensor | None) -> bool:
        """Whether this process has still to give a loss for any of the (b,) samples."""
        return indices is not None and bool(self._left.index_select(0, indices).any())

    def check(self, indices: Tensor) -> None:
        """Raise ValueError unless a loss is awaited for each of the (b,) samples."""
        left = self._left.index_select(0, indices)
        if not left.all():
            raise ValueError(
                f"no loss is awaited for sample {int(indices[~left][0])}: it was updated in this epoch "
                "already, or this epoch leaves it out on this process"
            )

    @property
    def complete(self) -> bool:
        """Whether the loss of every sample, or at least of the last batch, has been given."""
        return self.recorded == self.total or (self.last and not self.awaits(self.in_hand))

    def done(self, indices: Tensor) -> None:
        """Note that the loss of these samples has been given."""
        self._left.index_fill_(0, indices, False)
        self.recorded += len(indices)


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
