"""How a split makes batches of pixels, and the split whose images lie on the training device."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING

from bls_bench.data.augment import CropFlip, Cutout, ResizedCrop
from bls_bench.data.base import memory_format
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Pixels:
    """What happens to a batch of uint8 images on the device: crop, normalisation, cutout.

    `mean` and `std` have a value for each channel, for pixels in [0, 1].
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: CropFlip | ResizedCrop | None = None
    cutout: Cutout | None = None

    def normalise(self, images: Tensor) -> Tensor:
        """Turn (b, C, H, W) images of values up to 255 into normalised float32 ones."""
        mean, std = _channels(self.mean, images.device), _channels(self.std, images.device)
        inputs = images.to(torch.float32, copy=True, memory_format=memory_format(images.shape[-1]))
        return inputs.div_(255).sub_(mean).div_(std)

    def __call__(self, images: Tensor, crops: Tensor | None, squares: Tensor | None) -> Tensor:
        """Give each image its row of the numbers drawn for `augment` and for `cutout`."""
        if self.augment is not None and crops is not None:
            images = self.augment(images, crops)
        inputs = self.normalise(images)
        return inputs if self.cutout is None or squares is None else self.cutout(inputs, squares)


@cache
def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return (C, 1, 1) float32, copied to the device once: a copy in every step would wait for it."""
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]


class BatchSplit:
    """All that the two kinds of split share: they differ in where the uint8 images come from."""

    def __init__(self, targets: Tensor, pixels: Pixels, seed: int) -> None:
        self.targets = targets
        self.pixels = pixels
        self.seed = seed

    def __len__(self) -> int:
        return len(self.targets)

    def plain(self) -> BatchSplit:
        """See `Split.plain`."""
        split = copy.copy(self)
        split.pixels = Pixels(self.pixels.mean, self.pixels.std)
        return split

    def batches(
        self, index_batches: Sequence[Tensor], epoch: int, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Split.batches`."""
        if not index_batches:
            return
        sizes = [len(batch) for batch in index_batches]
        # One copy to the device per epoch instead of one per batch: no step waits for the host.
        indices = torch.cat(list(index_batches)).cpu()
        targets = self.targets[indices].to(device).split(sizes)
        images = self._images(indices.split(sizes), epoch, device)
        generator = stream(self.seed, "augment", epoch)

        def draw(step: CropFlip | ResizedCrop | Cutout | None) -> Iterable[Tensor | None]:
            # Drawn for all samples, used or not: sample i gets row i whichever samples are left out.
            if step is None:
                return repeat(None, len(sizes))
            return step.draw(len(self), generator)[indices].to(device).split(sizes)

        # The crop's numbers come first, so that cutout does not change them.
        draws = draw(self.pixels.augment), draw(self.pixels.cutout)
        yield from zip(map(self.pixels, images, *draws), targets, strict=True)

    def _images(self, index_batches: Sequence[Tensor], epoch: int, device: torch.device) -> Iterator[Tensor]:
        """Yield the (b, C, H, W) uint8 images of each batch, on `device`."""
        raise NotImplementedError


class MemorySplit(BatchSplit):
    """Images (N, C, H, W) uint8 and targets (N,) int64 in memory, moved to the training device once."""

    def __init__(self, images: Tensor, targets: Tensor, pixels: Pixels, seed: int) -> None:
        super().__init__(targets, pixels, seed)
        self.images = images

    def _images(self, index_batches: Sequence[Tensor], epoch: int, device: torch.device) -> Iterator[Tensor]:
        self.images = self.images.to(device)
        sizes = [len(batch) for batch in index_batches]
        for indices in torch.cat(list(index_batches)).to(device).split(sizes):
            # On a CPU brackets take twenty times as long.
            yield self.images.index_select(0, indices)
