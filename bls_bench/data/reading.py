"""Columns whose samples are read from files: by worker processes as they are needed, or all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tqdm import tqdm

from bls_bench.data.columns import Column, Columns, Ragged
from bls_bench.data.items import Items
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

# Samples that are read together when all are.
CHUNK = 64


class Reader(Protocol):
    """Reads single samples.

    ragged: the names of the columns whose length differs between samples.
    """

    @property
    def ragged(self) -> frozenset[str]: ...

    def __len__(self) -> int: ...

    def __call__(self, index: int) -> dict[str, Tensor]:
        """Return what is known of one sample, by name. Raises InputError where it cannot be read."""
        ...


class ReadColumns(Columns):
    """`Columns` that `workers` processes (0: this one) read, ahead of training.

    make, seed, draw: as in `Columns`, and so the same batches.
    """

    def __init__(
        self,
        reader: Reader,
        make: Callable[[dict[str, Column], Tensor | None], Any],
        seed: int = 0,
        draw: Callable[[int, torch.Generator], Tensor] | None = None,
        workers: int = 0,
    ) -> None:
        super().__init__({}, make, seed, draw)
        self.reader = reader
        self._items = Items(len(reader), reader, _Joined(reader.ragged), seed, workers)

    def __len__(self) -> int:
        return len(self.reader)

    def in_memory(self) -> Columns:
        """Read every sample now, with a progress bar."""
        chunks = torch.arange(len(self)).split(CHUNK)
        parts: dict[str, list[Column]] = {}
        with tqdm(total=len(self), desc="reading files", disable=None) as bar:
            for chunk, columns in zip(chunks, self._found(chunks, 0, torch.device("cpu")), strict=True):
                for name, column in columns.items():
                    parts.setdefault(name, []).append(column)
                bar.update(len(chunk))
        ragged = self.reader.ragged
        whole = {
            name: Ragged.of([row for part in found for row in part.rows()])
            if name in ragged
            else torch.cat(found)
            for name, found in parts.items()
        }
        return Columns(whole, self.make, self.seed, self.draw)

    def _found(
        self, index_batches: Sequence[Tensor], epoch: int, device: torch.device
    ) -> Iterator[dict[str, Column]]:
        for batch in self._items.batches(index_batches, epoch, device):
            yield {
                name: _ragged(*column) if name in self.reader.ragged else column
                for name, column in batch.items()
            }


@dataclass(frozen=True)
class _Joined:
    """Joins samples to columns, plain tensors on their way between processes and to the device.

    Where the rows of a `Ragged` start is an array besides, which stays on the host.
    """

    ragged: frozenset[str]

    def __call__(self, samples: list[Mapping[str, Tensor]]) -> dict[str, Any]:
        joined: dict[str, Any] = {}
        for name in samples[0]:
            rows = [sample[name] for sample in samples]
            if name in self.ragged:
                column = Ragged.of(rows)
                # A copy: on its way from a worker torch moves the memory of a tensor.
                joined[name] = column.values, column.starts, column.starts.numpy().copy()
            else:
                joined[name] = torch.stack(rows)
        return joined


def _ragged(values: Tensor, starts: Tensor, on_host: np.ndarray) -> Ragged:
    """Return the column whose parts `_Joined` gave."""
    return Ragged(values, starts, torch.from_numpy(on_host))
