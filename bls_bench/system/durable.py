"""Files that are whole or not there, also after a kill or a loss of power."""

from __future__ import annotations

import os
from pathlib import Path

from bls_bench.system.errors import InputError


def write(path: Path, content: str | bytes) -> None:
    """Write a file by rename: nobody ever reads half of it. Raises InputError, as on a full disk."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            sync(file.fileno())
        rename(temporary, path)
    except OSError as error:  # it does not always know its file
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def append(path: Path, line: str) -> None:
    """Write a line at the end of a file. Raises InputError, as on a full disk."""
    try:
        with path.open("a") as file:
            file.write(line + "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None


def rename(temporary: Path, path: Path) -> None:
    """Put a file that is whole in its place, for good."""
    temporary.replace(path)
    sync_folder(path.parent)


def sync(descriptor: int) -> None:
    """Wait until what was written is on the disk."""
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; only POSIX can open a folder for that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
