"""Samples in memory, a column for each thing that is known of them, also where its length differs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream

if TYPE_CHECKING:
    from torch import Tensor


class Ragged:
    """Rows of different lengths: boxes of an image, tokens of a text.

    values: (M, ...), all rows one after the other. starts: (N + 1,) int64, row i is
    values[starts[i]:starts[i + 1]]. on_host: `starts` on the host, from which sizes are read: of those on a
    GPU that would wait for it. Without it they are copied, with a wait.
    """

    def __init__(self, values: Tensor, starts: Tensor, on_host: Tensor | None = None) -> None:
        self.values, self.starts = values, starts
        self.on_host = starts.cpu() if on_host is None else on_host

    @classmethod
    def of(cls, rows: Sequence[Tensor]) -> Ragged:
        """Join (n_i, ...) tensors; there has to be at least one."""
        lengths = torch.tensor([len(row) for row in rows])
        return cls(torch.cat(list(rows)), torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Tensor:
        """(N,) int64."""
        return self.starts.diff()

    def __getitem__(self, indices: Tensor) -> Ragged:
        """Return the rows of (b,) int64 indices, in their order."""
        return self.taken(indices, indices.cpu())

    def taken(self, indices: Tensor, on_host: Tensor) -> Ragged:
        """Return the rows of (b,) int64 indices, which `on_host` holds too; no loop over samples."""
        known = _taken(self.on_host, on_host)
        starts = known if self.starts.device == known.device else _taken(self.starts, indices)
        total = int(known[-1])
        at = torch.arange(total, device=self.values.device)
        moved = self.starts.index_select(0, indices) - starts[:-1]
        at += moved.repeat_interleave(starts.diff(), output_size=total)
        # On a CPU brackets take three times as long, and for rows of pixels twenty times.
        return Ragged(self.values.index_select(0, at), starts, known)

    def with_values(self, values: Tensor) -> Ragged:
        """Return rows of the same lengths with other values, (M, ...)."""
        return Ragged(values, self.starts, self.on_host)

    def rows(self) -> tuple[Tensor, ...]:
        """Return all rows, each a view."""
        return self.values.split(self.on_host.diff().tolist())

    def padded(self, fill: float) -> tuple[Tensor, Tensor]:
        """Return the rows as (N, longest, ...), filled with `fill`, and what is real, (N, longest) bool."""
        lengths = self.lengths
        width = int(self.on_host.diff().max()) if len(self) else 0
        real = torch.arange(width, device=lengths.device) < lengths[:, None]
        table = self.values.new_full((len(self), width, *self.values.shape[1:]), fill)
        # Indexing by a mask would wait for the device, to count it.
        table.masked_scatter_(real.view(*real.shape, *(1,) * (table.ndim - 2)), self.values)
        return table, real

    def to(self, device: torch.device) -> Ragged:
        return Ragged(self.values.to(device), self.starts.to(device), self.on_host)


def _taken(starts: Tensor, indices: Tensor) -> Tensor:
    """Return where rows (b,) start when they are taken from those at `starts`, (b + 1,)."""
    lengths = starts.index_select(0, indices + 1) - starts.index_select(0, indices)
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])


# What is known of a sample: a row of a tensor, or a row of its own length.
Column = Any  # Tensor | Ragged


class Columns:
    """A `Split` whose columns lie on the training device, from which whole batches are indexed.

    columns: by name, (N, ...) tensors or `Ragged`. make: turns the columns of a batch, and its rows of
    random numbers or None, into what the task takes. draw: random numbers (N, k) for all samples of an epoch;
    sample i gets row i whichever samples are left out.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        make: Callable[[dict[str, Column], Tensor | None], Any],
        seed: int = 0,
        draw: Callable[[int, torch.Generator], Tensor] | None = None,
    ) -> None:
        self.columns, self.make, self.seed, self.draw = dict(columns), make, seed, draw

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def plain(self) -> Columns:
        """See `Split.plain`."""
        split = copy.copy(self)
        split.draw = None
        return split

    def batches(self, index_batches: Sequence[Tensor], epoch: int, device: torch.device) -> Iterator[Any]:
        """See `Split.batches`."""
        if not index_batches:
            return
        sizes = [len(batch) for batch in index_batches]
        # One copy to the device per epoch instead of one per batch: no step waits for the host.
        indices = torch.cat(list(index_batches)).cpu()
        rows: Sequence[Tensor | None] = [None] * len(sizes)
        if self.draw is not None:
            drawn = self.draw(len(self), stream(self.seed, "augment", epoch))
            rows = drawn[indices].to(device).split(sizes)
        for columns, numbers in zip(self._found(indices.split(sizes), epoch, device), rows, strict=True):
            yield self.make(columns, numbers)

    def _found(
        self, index_batches: Sequence[Tensor], epoch: int, device: torch.device
    ) -> Iterator[dict[str, Column]]:
        """Yield the columns of each batch, on `device`; the indices are on the host."""
        self.columns = {name: column.to(device) for name, column in self.columns.items()}
        sizes = [len(batch) for batch in index_batches]
        on_device = torch.cat(list(index_batches)).to(device).split(sizes)
        for batch, on_host in zip(on_device, index_batches, strict=True):
            yield {
                name: column.taken(batch, on_host)
                if isinstance(column, Ragged)
                else column.index_select(0, batch)
                for name, column in self.columns.items()
            }
