"""MNIST in the files of its makers: IDX, gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bls_bench.data.augment import CropFlip
from bls_bench.data.base import Data, Images, check_side
from bls_bench.data.classes import ClassDataset
from bls_bench.data.split import MemorySplit, Pixels
from bls_bench.system.errors import InputError, folded
from bls_bench.system.lazy import Lazy, torch
from bls_bench.system.settings import folder

if TYPE_CHECKING:
    from torch import Tensor
    from torchvision.transforms.v2 import functional
else:
    functional = Lazy("torchvision.transforms.v2.functional")

MEAN, STD = (0.1307,), (0.3081,)
PARTS = ("whole", "test")
HELD_OUT = 2000  # of the test digits, for part=test


@dataclass(frozen=True, kw_only=True)
class MNIST(ClassDataset):
    """Handwritten digits of 28x28 pixels.

    root: the folder that holds train-images-idx3-ubyte and so on, as they are or with .gz. part: whole, or
    test for the 10,000 test digits alone, a smaller data set, of which the last 2,000 are the test split.
    image_size: the side to which they are scaled. augment: a crop of 2 pixels each way.
    """

    name: str = "mnist"
    root: str = folder()
    part: str = "whole"
    image_size: int = 28

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.root:
            raise ValueError(f"root must be a folder that holds MNIST's files, got {self.root!r}")
        if self.part not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, got {self.part!r}")
        check_side(self.image_size)

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        root = Path(self.root).expanduser()
        test = self._read(root, "t10k")
        if self.part == "test":
            split = len(test[1]) - HELD_OUT
            if split < 1:
                raise InputError(
                    f"dataset.part=test needs more than {HELD_OUT} test digits, got {len(test[1])}"
                )
            train, test = [values[:split] for values in test], [values[split:] for values in test]
        else:
            train = self._read(root, "train")
        kept, labels = self.arranged(train[1])
        crop = CropFlip(padding=2, reflect=False, flip=False) if self.augment else None
        return Data(
            train=MemorySplit(train[0][kept], labels, Pixels(MEAN, STD, crop), seed),
            test=MemorySplit(test[0], test[1], Pixels(MEAN, STD), seed),
            info=Images(1, self.image_size, tuple(map(str, range(10))), MEAN, STD),
            targets=labels,
        )

    def _read(self, root: Path, part: str) -> list[Tensor]:
        """Return the images (N, 1, H, W) uint8, scaled, and the classes (N,) int64 of a part."""
        images = read_idx(root, f"{part}-images-idx3-ubyte", 3)[:, None]
        labels_name = f"{part}-labels-idx1-ubyte"
        labels = read_idx(root, labels_name, 1)
        if len(images) != len(labels) or not len(images):
            raise InputError(
                f"dataset.root={root}: {part} has {len(images)} images and {len(labels)} labels, "
                "which must be as many, and at least one"
            )
        if int(labels.max()) > 9:
            raise InputError(f"{root / labels_name}: labels must be 0 to 9, got {int(labels.max())}")
        if images.shape[-1] != self.image_size:
            size = [self.image_size, self.image_size]
            images = functional.resize(images, size, antialias=True)
        return [images, labels.long()]


def read_idx(root: Path, name: str, dimensions: int) -> Tensor:
    """Read a file of unsigned bytes, plain or gzipped; returns uint8 of so many dimensions.

    Raises InputError, naming the file, for one that is missing, damaged or of another kind.
    """
    path = next((path for path in (root / name, root / f"{name}.gz") if path.is_file()), None)
    if path is None:
        raise InputError(f"dataset.root={root} must hold {name} or {name}.gz: it holds neither")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {folded(error)}") from None
    start = 4 + 4 * dimensions
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) < start:
        raise InputError(f"{path} is no IDX file of unsigned bytes in {dimensions} dimensions")
    shape = np.frombuffer(content, ">u4", dimensions, 4).tolist()
    if len(content) - start != int(np.prod(shape)):
        raise InputError(f"{path} is cut short or too long: it should hold {shape} bytes")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).copy()).view(shape)
