"""What the readers of text files share: how they are opened, and how a bad line is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from bls_bench.system.errors import InputError


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 file to read; raises InputError naming it if that fails, or if nothing is in it."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if not path.stat().st_size:
                raise InputError(f"{path} is empty")
            yield file
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): is dataset.root right?") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None


def wrong_line(path: Path, number: int, found: str) -> InputError:
    """Return the error of a line, counted from 1, that has `found` in it."""
    return InputError(f"{path}, line {number}: {found}")


def sentence_of(text: str, path: Path, number: int) -> str:
    """Return the text without the space around it; raises InputError if nothing is left."""
    stripped = text.strip()
    if not stripped:
        raise wrong_line(path, number, "an empty sentence")
    return stripped
