"""torch's DataLoader, knowing which samples the batch in hand holds."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch.utils.data
from torch.utils.data import Dataset

from bls_bench.pruning.library.dataset import fetch
from bls_bench.pruning.library.handler import Handler, PruningSampler

# What torch's constructor takes besides: it goes to the inner loader as it is.
REPLACED = {"self", "dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "drop_last", "collate_fn"}


class DataLoader(torch.utils.data.DataLoader):
    """torch's DataLoader, arguments and batches included, that tells a handler what the loop has in hand.

    The indices of a batch travel with it: the workers fetch and collate both together, and the indices are
    taken off before the loop gets the batch. So it does not matter how many workers there are, how far they
    read ahead, in which order they finish or what `collate_fn` makes of the items.

    The handler is found by `sampler`, by the `sampler` of a `batch_sampler`, or is `dataset` itself where a
    `batch_sampler` of your own is given. A loader that has none of these (for validation, say) is just
    torch's, and may run at any time.
    """

    # torch's own loader that does the work, kept for its persistent workers.
    _inner: torch.utils.data.DataLoader | None = None

    def __iter__(self) -> Iterator[Any]:
        """Raise RuntimeError, on a later batch, once another iterator has begun a new epoch."""
        handler = self._handler()
        return super().__iter__() if handler is None else self._follow(handler)

    def _follow(self, handler: Handler) -> Iterator[Any]:
        running = length = None
        for number, (indices, batch) in enumerate(self._indexed(), 1):
            if running is None:
                running, length = handler._running, sized(self)
            if handler._running is not running:
                raise RuntimeError("this iterator's epoch is over: another one has begun a new epoch")
            running.hand_out(indices, last=number == length)
            yield batch
        # A loop that keeps the indices of batches read ahead may have an update to make yet.
        behind = running is not None and running.given and running.awaits(running.in_hand)
        if handler._running is running and not behind:
            handler.end_epoch()

    def _handler(self) -> Handler | None:
        for sampler in (self.sampler, getattr(self.batch_sampler, "sampler", None)):
            if isinstance(sampler, PruningSampler):
                return sampler.handler
        own_batches = self.batch_size is None
        return self.dataset if own_batches and isinstance(self.dataset, Handler) else None

    def _indexed(self) -> torch.utils.data.DataLoader:
        """Return a loader of (indices, batch)."""
        if self._inner is None or not self.persistent_workers:
            if self.batch_sampler is None:
                batching = {"batch_size": None, "sampler": self.sampler}
            else:
                batching = {"batch_sampler": self.batch_sampler}
            names = inspect.signature(torch.utils.data.DataLoader.__init__).parameters.keys() - REPLACED
            # A worker needs the items only, not the tables of the handler.
            dataset = self.dataset.dataset if isinstance(self.dataset, Handler) else self.dataset
            self._inner = torch.utils.data.DataLoader(
                Indexed(dataset),
                collate_fn=CollateIndexed(self.collate_fn),
                **batching,
                **{name: getattr(self, name) for name in names},
            )
        return self._inner


class Indexed(Dataset):
    """A data set whose items come with their indices."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return index, self.dataset[index]

    def __getitems__(self, indices: list[int]) -> tuple[list[int], list[Any]]:
        return indices, fetch(self.dataset, indices)


class CollateIndexed:
    """Collates the items and leaves their indices as they are."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, fetched: tuple[Any, Any]) -> tuple[Any, Any]:
        indices, items = fetched
        return indices, self.collate(items)


def sized(loader: torch.utils.data.DataLoader) -> int | None:
    """Return the number of batches; None where the batch sampler does not tell."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return None
