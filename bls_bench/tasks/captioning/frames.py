"""Videos as folders of frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bls_bench.data.trees import IMAGES
from bls_bench.system.errors import InputError

DIGITS = re.compile(r"(\d+)")


def frames_of(folder: Path, count: int) -> Sequence[Path]:
    """Return `count` frames of a folder, evenly spread, in the order of the numbers in their names.

    Where there are fewer, some stand there more than once. Raises InputError for a folder that is not there
    or holds no frame.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} has captions, but is no folder of frames")
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES and path.name[0] != "."]
    if not found:
        raise InputError(f"{folder} has captions, but no frames ({', '.join(IMAGES)})")
    found.sort(key=lambda path: (_order(path.name), path.name))
    return [found[(2 * at + 1) * len(found) // (2 * count)] for at in range(count)]


def _order(name: str) -> list[tuple[int, str]]:
    """Return what a name is sorted by: 2.jpg comes before 10.jpg."""
    parts = DIGITS.split(name)
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(parts)]
