"""Captions as lines of JSON, one a picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bls_bench.tasks.captioning.files import Described, said_of
from bls_bench.tasks.captioning.splits import SplitPictures
from bls_bench.tasks.text.files import open_text, wrong_line


@dataclass(frozen=True, kw_only=True)
class CaptionLines(SplitPictures):
    """`root` holds captions.jsonl and a folder images.

    A line has the keys image, the name of a file there; captions, a list of texts; and source, the split that
    it comes from.
    """

    def found(self, root: Path) -> tuple[Path, dict[str, list[Described]]]:
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
        return path, found


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
