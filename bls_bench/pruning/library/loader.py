"""torch's DataLoader, knowing which samples the batch in hand holds."""

import inspect
from collections.abc import Callable, Iterator
from itertools import repeat
from operator import is_
from typing import Any

import torch.utils.data
from torch.utils.data import Dataset, get_worker_info

from bls_bench.pruning.library.dataset import fetch, item
from bls_bench.pruning.library.handler import Handler
from bls_bench.pruning.library.methods import BLS
from bls_bench.pruning.library.refusals import NO_BATCH, NO_SHARE, NOT_DRAWN
from bls_bench.pruning.library.running import Running, batch_count
from bls_bench.pruning.library.sampler import PruningSampler

# What torch's constructor takes besides: it goes to the inner loader as it is.
REPLACED = {"self", "dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "drop_last", "collate_fn"}
REPLACED |= {"worker_init_fn"}


class DataLoader(torch.utils.data.DataLoader):
    """torch's DataLoader, arguments and batches included, that tells a handler what the loop has in hand.

    The indices of a batch travel with it: the workers fetch and collate both together, and the indices are
    taken off before the loop gets the batch. So it does not matter how many workers there are, how far they
    read ahead, in which order they finish or what `collate_fn` makes of the items; of an item that is None
    no loss is awaited. Without `drop_last` no batch has a single sample, unless the epoch or batch_size is 1.

    The handler is found by `sampler`, by the `sampler` of a `batch_sampler`, or is `dataset` itself where a
    `batch_sampler` of your own is given. A loader that has none of these (for validation, say) is just
    torch's, and may run at any time.
    """

    # torch's own loader that does the work, kept for its persistent workers.
    _inner: torch.utils.data.DataLoader | None = None

    def __init__(self, dataset: Dataset, *args: Any, **kwargs: Any) -> None:
        """Raise TypeError for a BLS without its proxy, ValueError for a handler whose sampler is left out."""
        if isinstance(dataset, BLS):
            raise TypeError("BLS(...) is no data set yet: give the loader BLS(...).proxy()")
        super().__init__(dataset, *args, **kwargs)
        if isinstance(dataset, Handler) and self.handler is None:
            found = type(self.sampler).__name__
            raise ValueError(
                f"a loader of a handler needs its sampler to prune, got {found}: to train give "
                "sampler=handler.sampler, to evaluate load handler.dataset"
            )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Raise RuntimeError, on a later batch, once another iterator has begun a new epoch.

        Raises ValueError where an epoch has no batch, as with `drop_last` and fewer samples than batch_size.
        """
        handler = self.handler
        return super().__iter__() if handler is None else self._follow(handler)

    def __len__(self) -> int:
        """The batches of the running epoch, or else the next one; of a resumed one, those that are left."""
        handler = self.handler
        return self._left() + (0 if handler is None else handler._batches_behind())

    def _left(self) -> int:
        if self.batch_size is None or not isinstance(self.sampler, PruningSampler):
            return super().__len__()
        return batch_count(len(self.sampler), self.batch_size, self.drop_last)

    def _follow(self, handler: Handler) -> Iterator[Any]:
        before, running, length = handler._running, None, None
        for number, (indices, kept, batch) in enumerate(self._indexed(handler), 1):
            if running is None:
                running, length = handler._running, sized(self)
                if running is before or running is None:
                    raise ValueError(NOT_DRAWN)
            if handler._running is not running:
                raise RuntimeError("this iterator's epoch is over: another one has begun a new epoch")
            running.arrived(indices, kept, last=number == length)
            yield batch
        if running is None:
            no_batch(handler, before)
        elif handler._running is running and not behind(running):
            handler.end_epoch()

    @property
    def handler(self) -> Handler | None:
        """The handler whose samples are loaded; None for a loader that is just torch's."""
        for sampler in (self.sampler, getattr(self.batch_sampler, "sampler", None)):
            if isinstance(sampler, PruningSampler):
                return sampler.handler
        own_batches = self.batch_size is None
        return self.dataset if own_batches and isinstance(self.dataset, Handler) else None

    def _indexed(self, handler: Handler) -> torch.utils.data.DataLoader:
        """Return a loader of (indices, the indices of items that are not None, batch)."""
        if self._inner is None or not self.persistent_workers:
            batching: dict[str, Any]
            if self.batch_size is not None and isinstance(self.sampler, PruningSampler):
                batching = {"batch_sampler": EpochBatches(handler, self.batch_size, self.drop_last)}
            elif self.batch_sampler is None:
                batching = {"batch_size": None, "sampler": self.sampler}
            else:
                batching = {"batch_sampler": self.batch_sampler}
            names = inspect.signature(torch.utils.data.DataLoader.__init__).parameters.keys() - REPLACED
            # A worker needs the items only, not the tables of the handler.
            dataset = self.dataset.dataset if isinstance(self.dataset, Handler) else self.dataset
            self._inner = torch.utils.data.DataLoader(
                Indexed(dataset),
                collate_fn=CollateIndexed(self.collate_fn),  # type: ignore[arg-type]
                worker_init_fn=ShowOwnDataset(self.worker_init_fn),
                **batching,
                **{name: getattr(self, name) for name in names},
            )
        return self._inner


class EpochBatches:
    """The batches of an epoch, cut by its handler, as a `batch_sampler`."""

    def __init__(self, handler: Handler, batch_size: int, drop_last: bool) -> None:
        self.handler, self.batch_size, self.drop_last = handler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self.handler._begin().batches(self.batch_size, self.drop_last, self.handler._device)

    def __len__(self) -> int:
        return batch_count(self.handler._length(), self.batch_size, self.drop_last)


class Indexed(Dataset):
    """A data set whose items come with their indices."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return index if isinstance(index, list) else [index], item(self.dataset, index)

    def __getitems__(self, indices: list[int]) -> tuple[list[int], list[Any]]:
        return indices, fetch(self.dataset, indices)


class CollateIndexed:
    """Collates the items, and leaves their indices as they are beside those of items that are not None."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, fetched: tuple[list[int], Any]) -> tuple[list[int], list[int], Any]:
        indices, items = fetched
        kept = indices
        if isinstance(items, list) and len(items) == len(indices) and any(map(is_, items, repeat(None))):
            kept = [index for index, item in zip(indices, items, strict=True) if item is not None]
        return indices, kept, self.collate(items)


class ShowOwnDataset:
    """Starts a worker such that `get_worker_info().dataset` is the user's own data set."""

    def __init__(self, start: Callable[[int], None] | None) -> None:
        self.start = start

    def __call__(self, worker: int) -> None:
        info: Any = get_worker_info()
        object.__setattr__(info, "dataset", info.dataset.dataset)  # torch makes it read-only
        if self.start is not None:
            self.start(worker)


def no_batch(handler: Handler, before: Running | None) -> None:
    """End what a resumed epoch had left, if that makes no batch; raises ValueError for a whole epoch.

    An epoch begins with a loss: one without batches would come again for ever.
    """
    drawn = handler._running
    if drawn is before or drawn is None:
        raise ValueError(NOT_DRAWN)
    if drawn.before:
        handler.end_epoch()
        return
    count = len(drawn.part)
    raise ValueError((NO_BATCH if count else NO_SHARE).format(count=count, epoch=handler.epoch))


def behind(running: Running) -> bool:
    """Whether the loop names its samples, and may so have the last batch's loss yet to give."""
    return running.named and running.hand is not None and bool(running.awaits(running.hand.indices).all())


def sized(loader: DataLoader) -> int | None:
    """Return how many batches are left; None where the batch sampler does not tell."""
    try:
        return loader._left()
    except (TypeError, NotImplementedError):
        return None
