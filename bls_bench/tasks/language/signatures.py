"""Signatures of functions and classes, with what their docstrings say: instructions without any file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from bls_bench.system.errors import InputError
from bls_bench.tasks.language.data import InstructionDataset, Pair
from bls_bench.tasks.text.data import digest, held_back
from bls_bench.tasks.text.docstrings import PACKAGES, first_paragraph, installed, sources

# What stands on one line and has its docstring right below.
DESCRIBED = re.compile(
    r'^[ \t]*((?:def|class) [^\n]+):[ \t]*\n[ \t]+[rRuU]?"""(.+?)"""', re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Signatures(InstructionDataset):
    """A line of code, `def` or `class`, and the first paragraph of its docstring as the answer.

    size: of six packages together; a fifth is the test split. versions: of the packages, for other versions
    are other data; empty: those installed, which then stand in the record and in the run's key.
    """

    name: str = "signatures"
    size: int = 6000
    versions: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 10:
            raise ValueError(f"size must be at least 10, got {self.size}")
        if not self.versions:
            object.__setattr__(self, "versions", installed())

    def read(self) -> tuple[list[Pair], list[Pair]]:
        if self.versions != installed():
            raise InputError(f"dataset.versions={self.versions}, but installed are {installed()}")
        found = described()
        if len(found) < self.size:
            raise InputError(f"dataset.size must be at most {len(found)}, all there are")
        sides: tuple[list[Pair], list[Pair]] = ([], [])
        for pair in found[: self.size]:
            sides[held_back(pair.answer)].append(pair)
        return sides


@cache
def described() -> tuple[Pair, ...]:
    """Return all signatures with an answer, one for each answer, in the order of the answers' digests.

    So a new version of a package brings and takes a few, and no answer is on both sides of a split.
    """
    found: dict[str, str] = {}
    for package in PACKAGES:
        for code in sources(package):
            for signature, docstring in DESCRIBED.findall(code):
                answer = first_paragraph(docstring)
                # Of several that say the same, the first by name: files come in no order.
                if answer:
                    found[answer] = min(signature, found.get(answer, signature))
    return tuple(Pair(f"{found[answer]}:\n", answer) for answer in sorted(found, key=digest))
