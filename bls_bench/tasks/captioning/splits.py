"""The base of the formats whose list tells of each picture which split it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from operator import not_
from pathlib import Path

from bls_bench.data.pictures import check_apart
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.files import CaptionedPictures, Described
from bls_bench.tasks.text.data import held_back


@dataclass(frozen=True, kw_only=True)
class SplitPictures(CaptionedPictures):
    """train, test: the names of the splits that are trained and tested on.

    held_back: null; or, with test=[], about one of so many pictures of `train` is tested on, by the digests
    of their names. For a part of a data set whose splits show different things.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    held_back: int | None = settings.added(None, neutral=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("train", "test"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.held_back is None:
            check_apart(self.train, self.test)
            return
        if self.held_back < 2:
            raise ValueError(f"held_back must be null or at least 2, got {self.held_back}")
        if not self.train or self.test:
            raise ValueError(
                f"held_back={self.held_back} divides the splits of train: "
                f"test must be [], and train not, got {list(self.test)} and {list(self.train)}"
            )

    def found(self, root: Path) -> tuple[Path, dict[str, list[Described]]]:
        """Return the list, a file, and the pictures of each split. Raises InputError for a wrong list."""
        raise NotImplementedError

    def described(self, root: Path) -> tuple[Sequence[Described], Sequence[Described]]:
        path, found = self.found(root)
        train = _of_splits(found, self.train, path)
        if self.held_back is None:
            return train, _of_splits(found, self.test, path)
        tested = [held_back(one.path.name, self.held_back) for one in train]
        if len(set(tested)) < 2:
            use = "train" if any(tested) else "test"
            raise InputError(
                f"dataset.held_back={self.held_back} leaves no picture to {use} on, of {len(train)}"
            )
        return list(compress(train, map(not_, tested))), list(compress(train, tested))


def _of_splits(found: dict[str, list[Described]], names: Sequence[str], path: Path) -> Sequence[Described]:
    """Return the pictures of some splits. Raises InputError for one that the file has not."""
    for name in names:
        if name not in found:
            raise InputError(f"{path} has no split {name!r}, it has {', '.join(sorted(found))}")
    return [one for name in names for one in found[name]]
