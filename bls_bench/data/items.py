"""Samples that worker processes read one by one, ahead of training, and collate into batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bls_bench.data.transfer import to_device
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Items:
    """A `Split` of `count` samples: `read(i)` gives sample i, `collate` a batch of some.

    `read` may be random: it draws from torch's generator, which is set for every sample and epoch and put
    back afterwards. workers: processes that read (0: this one).
    """

    count: int
    read: Callable[[int], Any]
    collate: Callable[[list[Any]], Any]
    seed: int
    workers: int = 0

    def __len__(self) -> int:
        return self.count

    def plain(self) -> Items:
        """See `Split.plain`: what `read` draws stays."""
        return self

    def batches(self, index_batches: Sequence[Tensor], epoch: int, device: torch.device) -> Iterator[Any]:
        """See `Split.batches`."""
        dataset: Any = _Epoch(self, epoch)
        loader: Iterable[Any] = torch.utils.data.DataLoader(
            dataset,
            batch_sampler=[batch.tolist() for batch in index_batches],
            num_workers=self.workers,
            collate_fn=_Collated(self.collate),
            worker_init_fn=_leave_process_group,
            pin_memory=device.type == "cuda",
            # Without one of its own the loader takes a number from the global generator.
            generator=torch.Generator(),
        )
        return to_device(map(_checked, loader), device)


@dataclass(frozen=True)
class _Epoch:
    """The map-style data set behind `Items`, for one epoch."""

    items: Items
    epoch: int

    def __len__(self) -> int:
        return self.items.count

    def __getitem__(self, index: int) -> Any:
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: that would reseed the generators of the devices too.
            state = stream(self.items.seed, "augment", self.epoch, index).get_state()
            torch.default_generator.set_state(state)
            try:
                return self.items.read(index)
            except InputError as error:
                # Raised in a worker it would arrive wrapped in the worker's traceback.
                return error


@dataclass(frozen=True)
class _Collated:
    """Collates a batch, unless one of its samples could not be read: then that error is the batch."""

    collate: Callable[[list[Any]], Any]

    def __call__(self, items: list[Any]) -> Any:
        failed = next((item for item in items if isinstance(item, InputError)), None)
        return self.collate(items) if failed is None else failed


def _checked(batch: Any) -> Any:
    if isinstance(batch, InputError):
        raise batch
    return batch


def _leave_process_group(worker: int) -> None:
    """Leave a Ctrl-C to the main process, which finishes its step and then ends its workers itself."""
    if os.name == "posix":
        os.setpgrp()
