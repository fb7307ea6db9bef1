"""The base of the data sets that are pictures in files with something drawn or written on each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bls_bench.data.base import Data, Dataset, Images, check_side
from bls_bench.data.files import check_reading, worker_count
from bls_bench.data.reading import ReadColumns, Reader
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.system.memory import keep_in_memory

if TYPE_CHECKING:
    from bls_bench.data.columns import Columns


@dataclass(frozen=True, kw_only=True)
class PictureFiles(Dataset):
    """Pictures under `root`.

    `in_memory=true` reads every file once and keeps the pixels on the training device; with false files are
    read as they are needed; auto decides by size and free memory. The batches are the same. Either way
    `workers` processes read (0: none but this one; auto: one a CPU core, 16 at most).
    """

    root: str = settings.folder()
    in_memory: str = settings.unkeyed("auto")
    workers: int | str = settings.unkeyed("auto")

    def __post_init__(self) -> None:
        if not self.root:
            raise ValueError(f"root must be the folder of the data, got {self.root!r}")
        object.__setattr__(self, "in_memory", check_reading(self.in_memory, self.workers))

    def _splits(
        self,
        readers: tuple[Reader, Reader],
        makes: tuple[Any, Any],
        draw: Callable[[int, torch.Generator], Any] | None,
        bytes_each: int,
        seed: int,
        device: torch.device | None,
    ) -> tuple[Columns, Columns]:
        """Return the training and the test split: readers of their samples, and what makes batches of them.

        bytes_each: what a sample takes in memory, about. Raises InputError for a split without samples.
        """
        for reader, part in zip(readers, ("train", "test"), strict=True):
            if not len(reader):
                raise InputError(f"dataset.root={self.root} has no pictures to {part} on")
        workers = worker_count(self.workers)
        train = ReadColumns(readers[0], makes[0], seed, draw, workers)
        test = ReadColumns(readers[1], makes[1], seed, None, workers)
        # Twice: what is read is joined at the end.
        needed = 2 * bytes_each * sum(map(len, readers))
        if keep_in_memory(self.in_memory, needed, device or torch.device("cpu")):
            return train.in_memory(), test.in_memory()
        return train, test


@dataclass(frozen=True, kw_only=True)
class Pictures(PictureFiles):
    """Pictures under `root`, each scaled as a whole into a square of side `image_size`, black beside it."""

    image_size: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        check_side(self.image_size, least=32)

    def _loaded(
        self,
        readers: tuple[Reader, Reader],
        makes: tuple[Any, Any],
        draw: Callable[[int, torch.Generator], Any],
        bytes_each: int,
        classes: tuple[str, ...],
        seed: int,
        device: torch.device | None,
    ) -> Data:
        """Return the data of these splits; see `_splits`."""
        train, test = self._splits(readers, makes, draw, bytes_each, seed, device)
        return Data(train=train, test=test, info=Images(3, self.image_size, classes))


def existing(root: str) -> Any:
    """Return the folder `root` as a path. Raises InputError if there is none."""
    from pathlib import Path

    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise InputError(f"dataset.root={root} is not a folder")
    return folder


def check_apart(train: Sequence[str], test: Sequence[str], key: str = "test") -> None:
    """Check the names of splits. Raises ValueError where there are none, or one is on both sides.

    key: the setting that names those to test on.
    """
    for name, splits in (("train", train), (key, test)):
        if not splits:
            raise ValueError(f"{name} must name at least one split, got []")
    if both := sorted(set(train) & set(test)):
        raise ValueError(f"{key} must hold none of the splits of train, got {both}")
