"""SST-2: sentences of film reviews, good or bad, as TSV files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bls_bench.system import settings
from bls_bench.tasks.text.data import Sentences, TextDataset
from bls_bench.tasks.text.files import open_text, sentence_of, wrong_line

HEADER = "sentence\tlabel"
CLASSES = ("negative", "positive")


@dataclass(frozen=True, kw_only=True)
class SST2(TextDataset):
    """train.tsv, and dev.tsv to test with: GLUE's own test sentences have no labels.

    root: the folder. A line is a sentence, a tab, and 0 or 1; GLUE's header may stand before them.
    """

    name: str = "sst2"
    root: str = settings.folder()

    def read(self) -> tuple[tuple[str, ...], Sentences, Sentences]:
        root = Path(self.root).expanduser()
        return CLASSES, _sentences(root / "train.tsv"), _sentences(root / "dev.tsv")


def _sentences(path: Path) -> Sentences:
    found = Sentences([], [])
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\r\n")
            if number == 1 and line == HEADER:
                continue
            fields = line.split("\t")
            if len(fields) != 2:
                raise wrong_line(
                    path, number, f"{len(fields)} fields, needed are a sentence, a tab and 0 or 1"
                )
            if fields[1].strip() not in ("0", "1"):
                raise wrong_line(path, number, f"the label {fields[1]!r}, allowed are 0 and 1")
            found.texts.append(sentence_of(fields[0], path, number))
            found.targets.append(int(fields[1]))
    return found
