"""The base of the formats whose list tells of each picture which split it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bls_bench.data.pictures import check_apart
from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.files import CaptionedPictures, Described


@dataclass(frozen=True, kw_only=True)
class SplitPictures(CaptionedPictures):
    """train, test: the names of the splits that are trained and tested on."""

    train: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("train", "test"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_apart(self.train, self.test)

    def found(self, root: Path) -> tuple[Path, dict[str, list[Described]]]:
        """Return the list, a file, and the pictures of each split. Raises InputError for a wrong list."""
        raise NotImplementedError

    def described(self, root: Path) -> tuple[Sequence[Described], Sequence[Described]]:
        path, found = self.found(root)
        return _of_splits(found, self.train, path), _of_splits(found, self.test, path)


def _of_splits(found: dict[str, list[Described]], names: Sequence[str], path: Path) -> Sequence[Described]:
    """Return the pictures of some splits. Raises InputError for one that the file has not."""
    for name in names:
        if name not in found:
            raise InputError(f"{path} has no split {name!r}, it has {', '.join(sorted(found))}")
    return [one for name in names for one in found[name]]
