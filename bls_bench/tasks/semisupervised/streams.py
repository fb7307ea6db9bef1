"""The two streams of samples: the one that is pruned, and the one beside it, addressed by (epoch, step)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from bls_bench.data.base import Split
from bls_bench.system.streams import stream
from bls_bench.tasks.semisupervised.kinds import Kind, View

if TYPE_CHECKING:
    from torch import Tensor


class Seen(NamedTuple):
    """A batch as it is looked at. indices: (b,) int64, the samples of the stream; targets: (b,) classes.

    weak, strong: the inputs in either view; strong is None for labelled samples, which have but one.
    """

    indices: Tensor
    targets: Tensor
    weak: Any
    strong: Any


@dataclass(frozen=True)
class Pool:
    """Some samples of a data set, to be seen in one view or two.

    split: the data set, without augmentation. chosen: (n,) int64, which of its samples. views: their names,
    which are also those of their random numbers.
    """

    name: str
    split: Split
    chosen: Tensor
    kind: Kind
    views: tuple[str, ...]
    seed: int

    def view(self, name: str) -> View:
        return self.kind.strong if name == "strong" else self.kind.weak

    def draws(self, count: int, *place: int) -> dict[str, Tensor]:
        """Return the (count, k) numbers of each view, drawn for one place in the run."""
        return {
            name: self.view(name).draw(count, stream(self.seed, self.name, name, *place))
            for name in self.views
        }

    def seen(self, batch: Any, indices: Tensor, draws: dict[str, Tensor]) -> Seen:
        """Return a batch of the split in its views; indices and draws are on the CPU."""
        inputs, targets = self.kind.reader.read(batch)
        views = {name: self.view(name)(inputs, rows.to(targets.device)) for name, rows in draws.items()}
        return Seen(indices.to(targets.device), targets, views["weak"], views.get("strong"))


@dataclass(frozen=True)
class Pruned:
    """A pool as the `Split` that is pruned: each epoch sees a sample in views of its own."""

    pool: Pool

    def __len__(self) -> int:
        return len(self.pool.chosen)

    def plain(self) -> Pruned:
        """There is nothing to be seen without the views."""
        return self

    def batches(self, index_batches: Sequence[Tensor], epoch: int, device: torch.device) -> Iterator[Seen]:
        """See `Split.batches`."""
        pool = self.pool
        # Drawn for all samples, used or not: sample i gets row i whichever samples are left out.
        draws = pool.draws(len(self), epoch)
        found = pool.split.batches([pool.chosen[indices] for indices in index_batches], epoch, device)
        for batch, indices in zip(found, index_batches, strict=True):
            yield pool.seen(batch, indices, {name: rows[indices] for name, rows in draws.items()})


@dataclass(frozen=True)
class Endless:
    """A pool as the stream beside: `size` samples for each step, over and over in random orders.

    Each epoch begins a new order, and so does each pass within it; what is left at the end of a pass and
    makes no whole batch sits it out. A pool smaller than a batch is repeated within it.
    """

    pool: Pool
    size: int

    def batches(
        self, wanted: Sequence[tuple[int, Tensor]], epoch: int, device: torch.device
    ) -> Iterator[Seen]:
        """See `Beside.batches`."""
        pool = self.pool
        indices = [self.samples(epoch, step)[rows] for step, rows in wanted]
        found = pool.split.batches([pool.chosen[some] for some in indices], epoch, device)
        for batch, some, (step, rows) in zip(found, indices, wanted, strict=True):
            draws = pool.draws(self.size, epoch, step)
            yield pool.seen(batch, some, {name: numbers[rows] for name, numbers in draws.items()})

    def samples(self, epoch: int, step: int) -> Tensor:
        """Return which samples of the pool a step of an epoch gets, (size,) int64."""
        count = len(self.pool.chosen)
        if count < self.size:
            order = stream(self.pool.seed, self.pool.name, "order", epoch, step)
            repeats = -(-self.size // count)
            return torch.cat([torch.randperm(count, generator=order) for _ in range(repeats)])[: self.size]
        turn, place = divmod(step, count // self.size)
        order = stream(self.pool.seed, self.pool.name, "order", epoch, turn)
        return torch.randperm(count, generator=order)[place * self.size : (place + 1) * self.size]
