"""Pairs of pictures listed in CSV files, as CVUSA and CVACT are shared."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bls_bench.data.pictures import check_apart
from bls_bench.tasks.retrieval.data import Pair, PairedPictures
from bls_bench.tasks.text.files import open_text, wrong_line


@dataclass(frozen=True, kw_only=True)
class ListedPairs(PairedPictures):
    """`root` holds the CSV files `train` and `test`, without a header; a line is a pair of files.

    query, place: the columns, counted from 0, of the picture that is asked with (on the ground) and of that
    to be found (from above). Further columns are not read.
    """

    train: str
    test: str
    query: int = 1
    place: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_apart([self.train], [self.test])
        for name in ("query", "place"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.query == self.place:
            raise ValueError(f"place must be another column than query, got {self.place}")

    def pairs(self, root: Path) -> tuple[Sequence[Pair], Sequence[Pair]]:
        return self._listed(root, self.train), self._listed(root, self.test)

    def _listed(self, root: Path, name: str) -> Sequence[Pair]:
        found: list[Pair] = []
        path, needed = root / name, max(self.query, self.place) + 1
        with open_text(path) as file:
            rows = csv.reader(file, strict=True)
            try:
                for row in rows:
                    if len(row) < needed or not row[self.query] or not row[self.place]:
                        raise wrong_line(
                            path, rows.line_num, f"needed are files in {needed} columns, got {row}"
                        )
                    found.append((root / row[self.query], root / row[self.place]))
            except csv.Error as error:
                raise wrong_line(path, rows.line_num, str(error)) from None
        return found
