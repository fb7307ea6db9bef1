"""Pairs of pictures: what is known of them, how they are read, and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from PIL import Image

from bls_bench.data.base import Data
from bls_bench.data.columns import Column
from bls_bench.data.decoding import decode, tell_depth
from bls_bench.data.jitter import Jitter
from bls_bench.data.pictures import Pictures, existing
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import Lazy, torch

if TYPE_CHECKING:
    from torch import Tensor
    from torchvision.transforms.v2 import functional
else:
    functional = Lazy("torchvision.transforms.v2.functional")

# Never mirrored: the two views of a place would not fit each other.
JITTER = Jitter(shift=0.05, scale=(0.9, 1.1), flip=False)
# The files of a pair: what is asked with, and what is to be found.
Pair = tuple[Path, Path]


@dataclass(frozen=True)
class Views:
    """The `info` of pairs of pictures. image_size: their side in pixels."""

    image_size: int


class ViewBatch(NamedTuple):
    """queries, places: (b, 3, S, S) float32 in [0, 1], the two views of b pairs. numbers: (b,) int64."""

    queries: Tensor
    places: Tensor
    numbers: Tensor


@dataclass(frozen=True)
class ViewBatches:
    """Make a `ViewBatch` of "queries" and "places" (b, 3, S, S) uint8 and "numbers"; each moved by itself."""

    jitter: Jitter | None = None

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the jitter's numbers, (count, 8): of the query and of the place."""
        assert self.jitter is not None
        return torch.cat([self.jitter.draw(count, generator) for _ in range(2)], 1)

    def __call__(self, columns: dict[str, Column], draws: Tensor | None) -> ViewBatch:
        views = [columns[name].float() for name in ("queries", "places")]
        if draws is not None and self.jitter is not None:
            moves = draws.split(4, 1)
            views = [self.jitter.images(view, move) for view, move in zip(views, moves, strict=True)]
        return ViewBatch(views[0] / 255, views[1] / 255, columns["numbers"])


@dataclass(frozen=True, kw_only=True)
class PairedPictures(Pictures):
    """Pairs of files; pictures are scaled to squares of side `image_size` whatever their shape.

    exif: turn pictures as their orientation tag says.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"images", "pairs"})
    exif: bool = settings.added(False, neutral=False)

    def pairs(self, root: Path) -> tuple[Sequence[Pair], Sequence[Pair]]:
        """Return the pairs to train on and those to test on. Raises InputError for a list that is wrong."""
        raise NotImplementedError

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        parts = self.pairs(existing(self.root))
        files = [path for pairs in parts for pair in pairs for path in pair]
        for path in files:
            if not path.is_file():
                raise InputError(f"{path} is in a pair, but is not there")
        tell_depth([str(path) for path in files])
        make = ViewBatches(JITTER)
        data = self._loaded(
            (
                PairReader(parts[0], self.image_size, self.exif),
                PairReader(parts[1], self.image_size, self.exif),
            ),
            (make, ViewBatches()),
            make.draw,
            6 * self.image_size**2,
            (),
            seed,
            device,
        )
        return replace(data, info=Views(self.image_size))


@dataclass(frozen=True)
class PairReader:
    """Reads pairs of pictures into squares of side `size`. exif: see `decode`."""

    pairs: Sequence[Pair]
    size: int
    exif: bool

    @property
    def ragged(self) -> frozenset[str]:
        return frozenset()

    def __len__(self) -> int:
        return len(self.pairs)

    def __call__(self, index: int) -> dict[str, Tensor]:
        """See `Reader`."""
        query, place = (decode(str(path), self._square, self.exif) for path in self.pairs[index])
        return {"queries": query, "places": place, "numbers": torch.tensor(index)}

    def _square(self, picture: Image.Image) -> Tensor:
        return functional.pil_to_tensor(picture.resize((self.size, self.size), Image.Resampling.BILINEAR))
