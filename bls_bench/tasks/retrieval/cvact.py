"""CVACT as published: a MATLAB file of places and splits, and folders of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.retrieval.data import Pair, PairedPictures

# The list of each split's places, and of all splits their field in the file.
SPLITS = {"trainSet": "trainInd", "valSet": "valInd", "valSetAll": "valInd"}


@dataclass(frozen=True, kw_only=True)
class CVACT(PairedPictures):
    """`root` holds the MATLAB `file` (Liu and Li 2019), and the pictures of each place.

    The file has the names of all places, panoIds, and numbers of them, from 1 on, in trainSet.trainInd,
    valSet.valInd and valSetAll.valInd. train, test: two of these splits. train_pictures, test_pictures:
    folders below root. query, place: where a place's panorama and its picture from above are in such a
    folder, {} stands for its name.
    """

    file: str = "ACT_data.mat"
    train: str = "trainSet"
    test: str = "valSet"
    train_pictures: str = "ANU_data_small"
    test_pictures: str = "ANU_data_small"
    query: str = "streetview/{}_grdView.jpg"
    place: str = "satview_polish/{}_satView_polish.jpg"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("train", "test"):
            if getattr(self, name) not in SPLITS:
                raise ValueError(f"{name} must be one of {', '.join(SPLITS)}, got {getattr(self, name)!r}")
        if self.train == self.test:
            raise ValueError(f"test must be another split than train, got {self.test}")
        for name in ("query", "place"):
            if "{}" not in getattr(self, name):
                raise ValueError(
                    f"{name} must have {{}} for the name of a place, got {getattr(self, name)!r}"
                )

    def pairs(self, root: Path) -> tuple[Sequence[Pair], Sequence[Pair]]:
        path = root / self.file
        content = _content(path)
        return (
            self._pairs(path, content, self.train, root / self.train_pictures),
            self._pairs(path, content, self.test, root / self.test_pictures),
        )

    def _pairs(self, path: Path, content: Any, split: str, folder: Path) -> Sequence[Pair]:
        try:
            names = [str(name).strip() for name in content["panoIds"]]
            numbers = [int(number) for number in content[split][SPLITS[split]][0][0].ravel()]
        except (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError):
            raise InputError(
                f"{path} must have panoIds, and {split} with the numbers {SPLITS[split]}"
            ) from None
        for number in numbers:
            if not 1 <= number <= len(names):
                raise InputError(f"{path}: {split} has the place {number}, there are 1 to {len(names)}")
        chosen = [names[number - 1] for number in numbers]
        return [
            (folder / self.query.replace("{}", name), folder / self.place.replace("{}", name))
            for name in chosen
        ]


def _content(path: Path) -> Any:
    """Read a MATLAB file. Raises InputError if it is none, or of the kind that is HDF5 (version 7.3)."""
    # Imported here: it takes a while.
    from scipy.io import loadmat

    try:
        with path.open("rb") as file:
            return loadmat(file)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: is dataset.root right?") from None
    except Exception as error:  # as many kinds as there are ways to be no such file
        raise InputError(f"{path} cannot be read as a MATLAB file: {folded(error)}") from None
