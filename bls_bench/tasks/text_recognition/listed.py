"""Pictures of words in files, with lists of their texts: IIIT5K as published, or any folder with a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.text.files import open_text, wrong_line
from bls_bench.tasks.text_recognition.pictures import Source, WordPictures, check_text


@dataclass(frozen=True, kw_only=True)
class ListedWords(WordPictures):
    """`root` holds, for each set, NAME.tsv, or NAMEdata.mat as IIIT5K is published.

    A line of the former is the path of a picture within `root`, a tab, and its text; the latter is MATLAB's,
    with ImgName and GroundTruth of each picture.
    """

    name: str = "listed_words"

    def source(self, root: Path, name: str) -> Source:
        table, matlab = root / f"{name}.tsv", root / f"{name}data.mat"
        if table.exists():
            return Listed(root, _of_table(root, table))
        if matlab.exists():
            return Listed(root, _of_matlab(root, matlab))
        raise InputError(f"dataset.root={self.root} has neither {table.name} nor {matlab.name}")


@dataclass(frozen=True)
class Listed:
    """A `Source` of files. entries: the path within `root`, and the text, of each."""

    root: Path
    entries: list[tuple[str, str]]

    def texts(self) -> Iterator[str]:
        return (text for _, text in self.entries)

    def picture(self, index: int) -> tuple[str, None]:
        return str(self.root / self.entries[index][0]), None


def _of_table(root: Path, table: Path) -> list[tuple[str, str]]:
    entries = []
    with open_text(table) as file:
        for number, line in enumerate(file, 1):
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) != 2:
                raise wrong_line(table, number, f"{len(fields)} fields, needed are a file, a tab and a text")
            where = f"{table}, line {number}"
            _check_file(root / fields[0], where)
            entries.append((fields[0], check_text(fields[1], where)))
    return entries


def _of_matlab(root: Path, matlab: Path) -> list[tuple[str, str]]:
    # Imported here: it takes as long as the whole check of the settings.
    from numpy import atleast_1d
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        rows = atleast_1d(loadmat(matlab, squeeze_me=True)[matlab.stem])
        entries = [(str(row["ImgName"]), str(row["GroundTruth"])) for row in rows]
    except (MatReadError, OSError, ValueError, LookupError, TypeError, NotImplementedError) as error:
        raise InputError(f"{matlab} cannot be read as IIIT5K's list: {folded(error)}") from None
    for number, (name, text) in enumerate(entries, 1):
        _check_file(root / name, f"{matlab}, entry {number}")
        check_text(text, f"{matlab}, entry {number}")
    return entries


def _check_file(path: Path, where: str) -> None:
    if not path.is_file():
        raise InputError(f"{where}: there is no picture {path}")
