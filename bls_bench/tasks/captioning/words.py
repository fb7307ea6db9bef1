"""Captions as words, and the words as numbers: a vocabulary of the training captions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

# Numbers of what is no word: fills rows up, begins a caption, ends it, stands for a word that is not known.
PAD, START, END, UNKNOWN = range(4)
SPECIAL = ("", "", "", "<unknown>")
WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")


def words_of(caption: str) -> tuple[str, ...]:
    """Return the words of a caption, in small letters, without the signs between them."""
    return tuple(WORD.findall(caption.lower()))


@dataclass(frozen=True)
class Vocabulary:
    """words: in the order of their numbers, the special ones first. end: a tokenizer's token, here none."""

    words: tuple[str, ...]
    end: ClassVar[int | None] = None

    @classmethod
    def of(cls, captions: Iterable[Sequence[str]], least: int) -> Vocabulary:
        """Return the words that are there `least` times or more, the most frequent first, then by letters."""
        counts = Counter(word for caption in captions for word in caption)
        known = [word for word, count in counts.items() if count >= least]
        return cls((*SPECIAL, *sorted(known, key=lambda word: (-counts[word], word))))

    def __len__(self) -> int:
        return len(self.words)

    def length(self, caption: Sequence[str]) -> int:
        """Return how many numbers the words of a caption take."""
        return len(caption)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words) if number >= len(SPECIAL)}

    def rows(self, captions: Sequence[Sequence[str]], longest: int) -> Tensor:
        """Return (n, longest + 1) int32: the first `longest` words of each, an END, and PAD."""
        table = torch.full((len(captions), longest + 1), PAD, dtype=torch.int32)
        for row, caption in zip(table, captions, strict=True):
            numbers = [self._numbers.get(word, UNKNOWN) for word in caption[:longest]]
            row[: len(numbers) + 1] = torch.tensor([*numbers, END], dtype=torch.int32)
        return table

    def said(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """Return the words of numbers, up to the first END."""
        found: list[str] = []
        for number in numbers:
            if number == END:
                break
            if number not in (PAD, START):
                found.append(self.words[number])
        return tuple(found)
