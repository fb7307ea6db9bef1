"""Folders of pictures beside folders of class maps, as CamVid and ADE20K have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Data
from bls_bench.data.decoding import decode, opened, size_of, tell_depth
from bls_bench.data.jitter import Jitter
from bls_bench.data.letterbox import Letterbox
from bls_bench.data.pictures import Pictures, existing
from bls_bench.data.trees import Tree
from bls_bench.system.errors import InputError, folded
from bls_bench.system.lazy import torch
from bls_bench.tasks.segmentation.batches import IGNORED, PixelBatches

if TYPE_CHECKING:
    from torch import Tensor

JITTER = Jitter(shift=0.1, scale=(0.75, 1.25), flip=True)
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True, kw_only=True)
class PixelMaps(Pictures):
    """`root` holds folders of pictures, `train` and `test`, and of their class maps, `train_maps` and
    `test_maps`: images of one channel with the same names, of type PNG.

    classes: how many there are; first: the value of the first in the maps, the others follow it.
    void: a value that stands for no class, or null.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"images", "pixel_classes"})
    train: str
    train_maps: str
    test: str
    test_maps: str
    classes: int
    first: int = 0
    void: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.classes <= IGNORED:
            raise ValueError(f"classes must be in 1 ... {IGNORED}, got {self.classes}")
        if not 0 <= self.first <= 255 - self.classes + 1:
            raise ValueError(f"first must be in 0 ... {256 - self.classes}, got {self.first}")
        if self.void is not None and self.first <= self.void < self.first + self.classes:
            raise ValueError(f"void must be none of the values of classes, got {self.void}")

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        root = existing(self.root)
        pairs = [
            _pairs(root / pictures, root / maps)
            for pictures, maps in ((self.train, self.train_maps), (self.test, self.test_maps))
        ]
        tell_depth([str(picture) for picture, _ in (*pairs[0], *pairs[1])])
        train, test = (
            MapReader(found, self.image_size, self.classes, self.first, self.void) for found in pairs
        )
        make = PixelBatches(JITTER)
        return self._loaded(
            (train, test),
            (make, PixelBatches()),
            make.draw,
            4 * self.image_size**2,
            tuple(str(number) for number in range(self.classes)),
            seed,
            device,
        )


def _pairs(pictures: Path, maps: Path) -> list[tuple[Path, Path]]:
    """Return the pictures with their maps. Raises InputError for one without, or of another size."""
    for folder in (pictures, maps):
        if not folder.is_dir():
            raise InputError(f"dataset.root: there is no folder {folder}")
    tree = Tree(pictures, SUFFIXES)
    found = sorted(map(Path, tree.files()))
    tree.tell()
    pairs = [(path, maps / f"{path.stem}.png") for path in found]
    for path, file in pairs:
        if not file.exists():
            raise InputError(f"{path} has no class map {file}")
        sizes = [size_of(one) for one in (path, file)]
        if sizes[0] != sizes[1]:
            wanted, got = ("{}x{}".format(*size) for size in sizes)
            raise InputError(f"{file} is a class map of {got} pixels, its image has {wanted}")
    return pairs


@dataclass(frozen=True)
class MapReader:
    """Reads pictures and their class maps into squares of side `size`."""

    pairs: Sequence[tuple[Path, Path]]
    size: int
    classes: int
    first: int
    void: int | None

    @property
    def ragged(self) -> frozenset[str]:
        return frozenset()

    def __len__(self) -> int:
        return len(self.pairs)

    def __call__(self, index: int) -> dict[str, Tensor]:
        """See `Reader`; raises InputError for a value that is no class."""
        path, file = self.pairs[index]
        images = decode(str(path), lambda picture: Letterbox(*picture.size, self.size).image(picture))
        classes = self._classes(file)
        box = Letterbox(classes.shape[1], classes.shape[0], self.size)
        return {"images": images, "classes": box.labels(classes[None], IGNORED)[0]}

    def _classes(self, file: Path) -> Tensor:
        try:
            with opened(file) as picture:
                if picture.mode not in ("L", "P"):
                    raise InputError(
                        f"{file} must have one channel of 8 bits, it has the mode {picture.mode}"
                    )
                width, height = picture.size
                values = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        except OSError as error:
            raise InputError(f"{file} cannot be read as an image: {folded(error)}") from None
        none = torch.zeros_like(values, dtype=torch.bool) if self.void is None else values == self.void
        strange = (values < self.first) | (values.int() >= self.first + self.classes)
        if (strange & ~none).any():
            value, last = int(values[strange & ~none][0]), self.first + self.classes - 1
            void = "" if self.void is None else f" and {self.void} for none"
            raise InputError(f"{file} has the value {value}, allowed are {self.first} to {last}{void}")
        return torch.where(none, IGNORED, values - self.first).to(torch.uint8).view(height, width)
