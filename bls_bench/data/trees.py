"""Folders as they are found: with hidden files, other types, links, pipes and two forms of Unicode."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bls_bench.system.errors import InputError, folded
from bls_bench.system.processes import process_rank

# What torchvision's ImageFolder reads.
IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def plain(name: str) -> str:
    """Return a name in the one form that names are compared and shown in: Unicode's composed one."""
    return unicodedata.normalize("NFC", name)


class Tree:
    """The files below `root` whose names end as `suffixes` say. What is left out is counted.

    A folder is read once, however many links lead to it.
    """

    def __init__(self, root: Path, suffixes: Sequence[str] = IMAGES) -> None:
        self.root, self.suffixes = root, tuple(suffixes)
        self.hidden = self.again = 0
        self.skipped: Counter[str] = Counter()
        self._read: set[tuple[int, int]] = set()

    def files(self) -> list[str]:
        """Return all files, sorted by folder and name. Raises InputError as `classes`."""
        self._first(self.root.stat())
        return self._sorted(self.root)

    def classes(self) -> dict[str, list[str]]:
        """Return the files of each folder directly below, by its name.

        Raises InputError for a file of the right name that is none, as a pipe, for what cannot be read, and
        for two folders of the same name.
        """
        self._first(self.root.stat())
        folders: dict[str, str] = {}
        for entry, is_folder in self._entries(self.root):
            if not is_folder:
                self.skipped["beside the folders"] += 1
            elif self._first(entry.stat()):
                name = plain(entry.name)
                if name in folders:
                    raise InputError(f"{self.root} holds two folders {name}, in two forms of Unicode")
                folders[name] = entry.path
        return {name: self._sorted(folders[name]) for name in sorted(folders)}

    def tell(self) -> None:
        """Print what was left out, if anything was, in one line of the first process."""
        kinds = [f"{count} {kind}" for kind, count in self.skipped.most_common()]
        told = [
            f"{count} {what}"
            for count, what in (
                (self.hidden, "hidden files and folders"),
                (self.again, "links to folders that are read already"),
                (self.skipped.total(), f"other files ({', '.join(kinds)})"),
            )
            if count
        ]
        if told and process_rank()[0] == 0:
            print(f"{self.root}: left out are {', '.join(told)}")

    def _sorted(self, folder: str | Path) -> list[str]:
        return sorted(self._below(folder), key=os.path.split)

    def _below(self, folder: str | Path) -> Iterator[str]:
        for entry, is_folder in self._entries(folder):
            suffix = Path(entry.name).suffix.lower()
            if is_folder:
                if self._first(entry.stat()):
                    yield from self._below(entry.path)
            elif suffix not in self.suffixes:
                self.skipped[suffix or "without a suffix"] += 1
            elif not entry.is_file():
                raise InputError(f"{entry.path} is no regular file: take it away")
            else:
                yield entry.path

    def _entries(self, folder: str | Path) -> list[tuple[os.DirEntry[str], bool]]:
        """Return what is not hidden, and whether it is a folder.

        Links come last: what they lead to is then read in its own place.
        """
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: (entry.is_symlink(), entry.name))
            shown = [entry for entry in entries if not entry.name.startswith(".")]
            self.hidden += len(entries) - len(shown)
            return [(entry, entry.is_dir()) for entry in shown]
        except OSError as error:  # no right to read it, or a link to itself
            raise InputError(f"dataset.root: {folded(error)}") from None

    def _first(self, found: os.stat_result) -> bool:
        """Whether a folder was not read before; notes that it is now."""
        place = found.st_dev, found.st_ino
        self.again += place in self._read
        first = place not in self._read
        self._read.add(place)
        return first
