"""Batches of samples of like length, for text: less padding, the same epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from bls_bench.pruning.lengths import pooled
from bls_bench.pruning.library.handler import Handler
from bls_bench.pruning.library.running import Running, batch_count, cut
from bls_bench.pruning.library.sampler import PruningSampler
from bls_bench.pruning.selection import Selection, permutation
from bls_bench.system.streams import stream


class LengthBuckets:
    """A `batch_sampler` for bls_bench.DataLoader: pools of the epoch's samples, sorted by length and cut.

    Which samples an epoch has, is the handler's choice as ever; the batches come in random order. They are
    those of the whole epoch, so a resumed run gets just the batches that were left.
    """

    def __init__(
        self, handler: Handler, lengths: Sequence[int], batch_size: int, drop_last: bool = False
    ) -> None:
        """Raise ValueError unless there is one length a sample.

        lengths: (N,), of every sample of the data set, pruned or not.
        """
        self.handler, self.batch_size, self.drop_last = handler, batch_size, drop_last
        self.lengths = torch.as_tensor(lengths)
        if self.lengths.shape != (len(handler),):
            raise ValueError(
                f"expected {len(handler)} lengths, one a sample, got {tuple(self.lengths.shape)}"
            )

    @property
    def sampler(self) -> PruningSampler:
        """Tells a bls_bench.DataLoader whose samples these are."""
        return self.handler.sampler

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches(self.handler._begin()))

    def __len__(self) -> int:
        handler = self.handler
        if handler.state.selection is not None:
            return len(self._batches(handler._open()))
        return batch_count(len(handler.sampler), self.batch_size, self.drop_last)

    def _batches(self, running: Running) -> list[list[int]]:
        order = running.whole.indices
        joined = Selection(order[pooled(self.lengths[order], self.batch_size)])
        batches = [hand.indices for hand in cut(joined, self.batch_size, self.drop_last, "cpu")]
        generator = stream(self.handler.state.seed, "buckets", self.handler.epoch)
        shuffled = [batches[place] for place in permutation(len(batches), generator).tolist()]
        if running.before:
            left = [batch[running.awaits(batch)] for batch in shuffled]
            shuffled = [batch for batch in left if len(batch)]
        return [batch.tolist() for batch in shuffled]
