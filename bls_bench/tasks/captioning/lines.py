"""Captions as lines of JSON, one a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.files import CaptionedPictures, Described, said_of
from bls_bench.tasks.text.files import open_text, wrong_line


@dataclass(frozen=True, kw_only=True)
class CaptionLines(CaptionedPictures):
    """`root` holds captions.jsonl and a folder images.

    A line has the keys image, the name of a file there; captions, a list of texts; and source, the split that
    it comes from. train, test: the names of the splits that are trained and tested on.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("train", "test"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_apart(self.train, self.test)

    def described(self, root: Path) -> tuple[Sequence[Described], Sequence[Described]]:
        path = root / "captions.jsonl"
        found: dict[str, list[Described]] = {}
        with open_text(path) as file:
            for number, line in enumerate(file, 1):
                where = f"{path}, line {number}"
                entry = _entry(line, path, number)
                said = [said_of(caption, where) for caption in entry["captions"]]
                found.setdefault(entry["source"], []).append(
                    Described(root / "images" / entry["image"], said)
                )
        return of_splits(found, self.train, path), of_splits(found, self.test, path)


def _entry(line: str, path: Path, number: int) -> dict[str, Any]:
    """Return what a line says. Raises InputError where it is no JSON, or lacks something."""
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise wrong_line(path, number, f"no JSON, {error}") from None
    for key, kind in (("image", str), ("source", str), ("captions", list)):
        if not isinstance(entry, dict) or not isinstance(entry.get(key), kind) or not entry[key]:
            what = "text" if kind is str else "list"
            raise wrong_line(path, number, f"needed is an object with a {what} at {key!r}")
    return entry


def check_apart(train: Sequence[str], test: Sequence[str]) -> None:
    """Check the names of splits. Raises ValueError where there are none, or one is on both sides."""
    for name, splits in (("train", train), ("test", test)):
        if not splits:
            raise ValueError(f"{name} must name at least one split")
    if set(train) & set(test):
        raise ValueError(f"test must hold none of the splits of train, got {sorted(set(train) & set(test))}")


def of_splits(found: dict[str, list[Described]], names: Sequence[str], path: Path) -> Sequence[Described]:
    """Return the pictures of some splits. Raises InputError for one that the file has not."""
    for name in names:
        if name not in found:
            raise InputError(f"{path} has no split {name!r}, it has {', '.join(sorted(found))}")
    return [one for name in names for one in found[name]]
