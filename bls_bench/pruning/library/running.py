"""One process' part of the epoch that runs: what is handed out, what is updated, with which weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from operator import length_hint
from typing import TYPE_CHECKING, NamedTuple

from bls_bench.pruning.selection import Batch, Selection
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


# Samples turned into Python integers at a time: enough to be fast, too few to need memory.
CHUNK = 1 << 14


class Hand(NamedTuple):
    """A batch as the loop holds it: (b,) int64 indices, b, the weights, and (b,) float32 factors w_i / b."""

    indices: Tensor
    size: int
    batch: Batch
    factors: Tensor

    @classmethod
    def of(cls, batch: Batch, factors: Tensor) -> Hand:
        return cls(batch.indices, batch.indices.numel(), batch, factors)

    def weighted(self, loss: Tensor) -> Tensor:
        """Return mean(w_i * l_i), or L * mean(w) for a 0-d loss: `Batch.weighted` in one operation."""
        if loss.ndim == 0:
            mean = self.batch.mean_weight
            return loss if mean is None else loss * mean
        if loss.dtype == torch.float32 and loss.device == self.factors.device:
            return loss.dot(self.factors)
        # Another type; or the first epoch on a device, before it is known that the losses are there.
        weights = self.batch.weights
        return loss.mean() if weights is None else (loss * weights.to(loss.device, non_blocking=True)).mean()


class Running:
    """An epoch as the training loop of one process goes through it.

    whole: the samples that this process trains on in the epoch, in order, with their weights.
    part: those of them that were left when the epoch was drawn: a resumed process has `before` behind it.
    read: how many samples the loop has read, settled: of how many it has given a loss, or said that there is
    none. Between a read and its update the two differ by the batch in hand, and by nothing else: one that
    reads ahead, or leaves a batch out without a word, is found out by this.
    hand: the batch that the loop holds, None where that is not known.
    last: whether no batch comes after that one.
    arrivals: how many batches the loop has read, counted: how many of these a loss or a skip was given for.
    followed: whether a loader of ours tells what is read; else what is fetched from the handler does.
    named: whether the loop has named the samples of a loss itself, and so may be behind its loader.
    touched: whether it has settled any since the epoch was drawn; else it has but looked.
    stray: whether something else than the loop has read from the handler.
    """

    def __init__(
        self, selection: Selection, recorded: Tensor, rank: int, world_size: int, samples: int
    ) -> None:
        """`recorded` (m,) int64: what a resumed process has behind it already."""
        self.selection, self.num_samples = selection, samples
        self.part = self.whole = selection.shard(rank, world_size)
        self.total, self.before = len(self.part), len(recorded)
        if self.before:
            self.part = self.part.take(~torch.isin(self.part.indices, recorded))
        self.read = self.settled = self.batches_before = 0
        self.hand: Hand | None = None
        self.arrivals = self.counted = 0
        self._opened = False  # whether the batch in hand is among those counted
        self.last = self.followed = self.stray = self.named = self.touched = False
        self._out: dict[int, Hand] = {}
        self._chunk: Iterator[int] = iter([])
        self._chunk_end = 0

    @cached_property
    def weights(self) -> Tensor:
        """(N,) float32, the weight of every sample in this epoch on all processes, 0 for a pruned one."""
        weights = torch.zeros(self.num_samples)
        weights[self.selection.indices] = 1.0 if self.selection.weights is None else self.selection.weights
        return weights

    @cached_property
    def _left(self) -> Tensor:
        """(N,) bool, of which samples a loss is awaited. Only loops that name their samples need it."""
        left = torch.zeros(self.num_samples, dtype=torch.bool)
        left[self.part.indices] = True
        return left

    @property
    def recorded(self) -> int:
        """How many samples of this process' share are settled, those before a resume included."""
        return self.before + self.settled

    def draw(self) -> Iterator[int]:
        """Hand the indices out one by one, at the speed of a list."""
        return chain.from_iterable(self._chunks())

    def _chunks(self) -> Iterator[Iterator[int]]:
        for chunk in self.part.indices.split(CHUNK):
            self._chunk = iter(chunk.tolist())
            self._chunk_end += len(chunk)
            yield self._chunk

    def batches(self, batch_size: int, drop_last: bool, device: torch.device | str) -> Iterator[list[int]]:
        """Hand the indices out in batches, and keep what `arrived` will tell of each; weights on `device`."""
        self.followed = True
        ints: list[int] = []
        start = read = 0
        for hand in cut(self.part.weights_to(device), batch_size, drop_last, device):
            if start + hand.size > len(ints):
                ints, start = self.part.indices[read : read + CHUNK + hand.size].tolist(), 0
            indices = ints[start : start + hand.size]
            start, read = start + hand.size, read + hand.size
            self._out[indices[0]] = hand
            yield indices

    def arrived(self, indices: list[int], kept: list[int], last: bool) -> None:
        """Note that the loop gets the batch of the samples `indices`, of which `kept` have come through."""
        hand = self._out.pop(indices[0], None)
        if hand is None or len(kept) != len(indices):
            hand = self.hand_of(torch.tensor(kept, dtype=torch.int64))
        if not self.followed:  # what was fetched on the way to the loader is counted here
            self.followed, self.read, self.arrivals = True, 0, 0
        self.hand, self.last, self._opened = hand, last, False
        self.arrivals += 1
        self.read += len(kept)

    def fetched(self, indices: list[int]) -> None:
        """Note a batch fetched in this process, if it is the one that the sampler drew last.

        Another one is no batch of the training loop, or drawn ahead: then none is known to be in hand.
        """
        if self.followed:
            return
        drawn = self._chunk_end - length_hint(self._chunk)
        start = max(drawn - len(indices), 0)
        own = self.part.indices[start:drawn]
        if own.tolist() == list(indices):
            self.hand, self.last = self.hand_of(own), drawn == len(self.part)
            self.read, self._opened = drawn, False
            self.arrivals += 1
        else:
            self.hand, self.stray = None, True

    def hand_of(self, indices: Tensor) -> Hand:
        """Return these samples, (b,) int64, in any order, with their weights."""
        if self.selection.weights is None:
            return Hand.of(Batch(indices), torch.full((len(indices),), 1 / max(len(indices), 1)))
        weights = self.weights.index_select(0, indices)
        return Hand.of(Batch(indices, weights, weights.mean()), weights / len(indices))

    def awaits(self, indices: Tensor) -> Tensor:
        """Say for which of the (b,) samples a loss is awaited, (b,) bool; all that are left before `name`."""
        return self._left.index_select(0, indices)

    def check(self, indices: Tensor) -> None:
        """Raise ValueError unless a loss is awaited for each of the (b,) samples."""
        left = self.awaits(indices)
        if not left.all():
            raise ValueError(
                f"no loss is awaited for sample {int(indices[~left][0])}: it was updated in this epoch "
                "already, or this epoch leaves it out on this process"
            )

    def name(self, earlier: Tensor) -> None:
        """From now on the loop names its samples; `earlier` (m,) int64: those that it has given losses of."""
        if not self.named:
            self.named = True
            self._left[earlier] = False

    def settle(self, indices: Tensor) -> int:
        """Note that the (b,) samples are settled; returns 1 for a batch's first loss, 0 for a later one."""
        self.touched = True
        self.settled += indices.numel()
        if not self.named:
            self.counted += 1
            return 1
        self._left.index_fill_(0, indices, False)
        in_hand = self.hand is not None and bool((self.hand.indices == indices[0]).any())
        if in_hand and self._opened:
            return 0
        self._opened = self._opened or in_hand
        self.counted += 1
        return 1

    def settle_rest(self) -> int:
        """Note that all that is read is settled; returns how many batches had no loss before."""
        batches = max(self.arrivals - self.counted, 0)
        self.touched, self.settled = True, self.read
        self.counted += batches
        return batches

    @property
    def complete(self) -> bool:
        """Whether every sample is settled, or everything read when the last batch has been."""
        return self.recorded >= self.total or (self.last and self.settled >= self.read)


def cut(part: Selection, batch_size: int, drop_last: bool, device: torch.device | str) -> Iterator[Hand]:
    """Cut an epoch into batches, none of a single sample if it can be helped: BatchNorm cannot take one.

    As many samples as there are make the last batch a random size, so one of a single sample comes sooner or
    later. The batch before gives it one of its own; at batch_size 2 the two are joined.
    """
    if drop_last or batch_size == 1 or len(part) % batch_size != 1 or len(part) == 1:
        yield from _hands(part, batch_size, drop_last, device)
        return
    head = len(part) - batch_size - 1
    yield from _hands(part.take(slice(head)), batch_size, False, device)
    yield from _hands(part.take(slice(head, None)), batch_size - 1 if batch_size > 2 else 3, False, device)


def _hands(part: Selection, batch_size: int, drop_last: bool, device: torch.device | str) -> Iterator[Hand]:
    """Prepare the factors of a whole epoch at once; all of equal weights are the same few."""
    size, rest = min(batch_size, len(part)), len(part) % batch_size
    if part.weights is None:
        factors = torch.full((max(size, 1),), 1 / max(size, 1), device=device)
        last = torch.full((rest,), 1 / max(rest, 1), device=device)
        for batch in part.batches(batch_size, drop_last):
            yield Hand.of(batch, last if batch.indices.numel() == rest else factors)
        return
    scaled = part.weights / batch_size
    if rest:
        scaled[-rest:] = part.weights[-rest:] / rest
    yield from map(Hand.of, part.batches(batch_size, drop_last), scaled.split(batch_size))


def batch_count(samples: int, batch_size: int, drop_last: bool) -> int:
    """Return how many batches `cut` makes of so many samples."""
    if drop_last:
        return samples // batch_size
    return -(-samples // batch_size) - (batch_size == 2 and samples % 2 == 1 and samples > 1)
