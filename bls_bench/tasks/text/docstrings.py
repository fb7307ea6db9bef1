"""Docstrings of installed packages, with the package as the class: texts that are there without any file."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from bls_bench.system.errors import InputError
from bls_bench.tasks.text.data import Sentences, TextDataset, digest, split

# By the name of what is imported, that of the distribution: all are packages this project needs.
PACKAGES = {
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch": "torch",
}
# A string in three double quotes below a line that ends in a colon: nearly always a docstring, and found
# thirty times faster than by parsing the file.
DOCSTRING = re.compile(r':[ \t]*(?:#[^\n]*)?\n[ \t]+[rRuU]?"""(.+?)"""', re.DOTALL)
SHORTEST = 5


@dataclass(frozen=True, kw_only=True)
class Docstrings(TextDataset):
    """First paragraphs of the docstrings of six packages, `size` of each; a fifth of all is the test split.

    versions: of the packages, for other versions are other data; empty: those installed, which then stand
    in the record and in the run's key.
    """

    name: str = "docstrings"
    size: int = 1000
    versions: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 10:
            raise ValueError(f"size must be at least 10, got {self.size}")
        if not self.versions:
            object.__setattr__(self, "versions", installed())

    def read(self) -> tuple[tuple[str, ...], Sentences, Sentences]:
        if self.versions != installed():
            raise InputError(f"dataset.versions={self.versions}, but installed are {installed()}")
        found = [first_paragraphs(package) for package in PACKAGES]
        sentences = Sentences([], [])
        for target, own in enumerate(found):
            others = frozenset().union(*(texts for texts in found if texts is not own))
            # In the order of their digests: a new version of a package brings and takes a few texts.
            chosen = sorted(own - others, key=digest)[: self.size]
            if len(chosen) < self.size:
                package = list(PACKAGES)[target]
                raise InputError(f"dataset.size must be at most {len(chosen)}, all of {package}")
            sentences.texts.extend(chosen)
            sentences.targets.extend([target] * len(chosen))
        return (tuple(PACKAGES), *split(sentences))


def installed() -> str:
    """Return the versions of the packages."""
    return ", ".join(f"{name} {version(distribution)}" for name, distribution in PACKAGES.items())


@cache
def first_paragraphs(package: str) -> frozenset[str]:
    """Return the first paragraph of each docstring of a package, as one line; of five words at least."""
    found = (first_paragraph(docstring) for code in sources(package) for docstring in DOCSTRING.findall(code))
    return frozenset(filter(None, found))


def sources(package: str) -> Iterator[str]:
    """Yield the code of a package's files, but for its tests."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    for file in Path(spec.origin).parent.rglob("*.py"):
        if "tests" not in file.parts:
            yield file.read_text(encoding="utf-8", errors="replace")


def first_paragraph(docstring: str) -> str:
    """Return a docstring's first paragraph as one line; an empty one for less than five words."""
    words = inspect.cleandoc(docstring).partition("\n\n")[0].split()
    # Dashes underline the heading of a list of parameters.
    if len(words) < SHORTEST or any(word.startswith("---") for word in words):
        return ""
    return " ".join(words)
