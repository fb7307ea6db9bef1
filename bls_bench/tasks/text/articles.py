"""AG News, Yelp Review and their like: CSV files of a class and one or more texts."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.tasks.text.data import Sentences, TextDataset, split
from bls_bench.tasks.text.files import open_text, sentence_of, wrong_line

CLASSES = {
    "agnews": ("World", "Sports", "Business", "Sci/Tech"),
    "yelp": ("1 star", "2 stars", "3 stars", "4 stars", "5 stars"),
}
PARTS = ("whole", "test")


@dataclass(frozen=True, kw_only=True)
class Articles(TextDataset):
    """`name` is agnews or yelp (Yelp Review Full); root: the folder with train.csv and test.csv.

    A line is a class, from 1 on, and the title and the text, or the text, which are joined. part: whole, or
    test: all samples come from test.csv, a fifth of them, by their digests, to test with.
    """

    root: str = settings.folder()
    part: str = "whole"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name not in CLASSES:
            raise ValueError(f"name must be one of {', '.join(CLASSES)}, got {self.name!r}")
        if self.part not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, got {self.part!r}")

    def read(self) -> tuple[tuple[str, ...], Sentences, Sentences]:
        root, classes = Path(self.root).expanduser(), CLASSES[self.name]
        test = _sentences(root / "test.csv", len(classes))
        if self.part == "test":
            return (classes, *split(test))
        if not (root / "train.csv").exists():
            raise InputError(
                f"{root / 'train.csv'} is not there: dataset.part=test takes all samples from test.csv"
            )
        return classes, _sentences(root / "train.csv", len(classes)), test


def _sentences(path: Path, classes: int) -> Sentences:
    found, labels = Sentences([], []), [str(label) for label in range(1, classes + 1)]
    with open_text(path) as file:
        rows = csv.reader(file, strict=True)
        try:
            for row in rows:
                label, *texts = row or [""]
                if label not in labels:
                    raise wrong_line(path, rows.line_num, f"the class {label!r}, allowed are 1 to {classes}")
                found.texts.append(sentence_of(" ".join(texts), path, rows.line_num))
                found.targets.append(labels.index(label))
        except csv.Error as error:
            raise wrong_line(path, rows.line_num, str(error)) from None
    return found
