"""The sampler of a handler: what torch's DataLoader asks for the samples of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch.utils.data import Sampler

if TYPE_CHECKING:
    from bls_bench.pruning.library.handler import Handler


class PruningSampler(Sampler[int]):
    """Draws the samples of one epoch each time it is iterated; under torch.distributed, this process' share.

    Its length is that of the running epoch, between epochs that of the next one.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def __iter__(self) -> Iterator[int]:
        return self.handler._begin().draw()

    def __len__(self) -> int:
        return self.handler._length()
