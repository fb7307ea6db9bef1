"""Pictures of words: what is known of them, their letters as numbers, and batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bls_bench.data.columns import Column, Ragged
from bls_bench.data.jitter import Jitter
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

# A little, and never mirrored: that would make other signs.
JITTER = Jitter(shift=0.04, scale=(0.85, 1.1), flip=False)


@dataclass(frozen=True)
class Words:
    """The `info` of pictures of words.

    height, width: of a picture, which has three channels. alphabet: the letters; the number of the first is
    1. longest: the letters that a training word has at most. frames: of a training word at most, the letters
    and a gap between equal neighbours. benchmarks: the names of the sets in the test split.
    """

    height: int
    width: int
    alphabet: str
    longest: int
    frames: int
    benchmarks: tuple[str, ...] = ()

    def text(self, letters: Tensor) -> str:
        """Return what numbers (n,) stand for; 0 is no letter."""
        return "".join(self.alphabet[letter - 1] for letter in letters.tolist() if letter)


class WordBatch(NamedTuple):
    """images: (b, 3, H, W) float32 in [-1, 1]. words: rows of int64, letters from 1. sets: (b,) int64."""

    images: Tensor
    words: Ragged
    sets: Tensor


@dataclass(frozen=True)
class WordBatches:
    """Make a `WordBatch` of the columns "images" (b, 3, H, W) and "words", both uint8, and "sets" (b,)."""

    jitter: Jitter | None = None

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the jitter's numbers."""
        assert self.jitter is not None
        return self.jitter.draw(count, generator)

    def __call__(self, columns: dict[str, Column], draws: Tensor | None) -> WordBatch:
        images, words = columns["images"].float(), columns["words"]
        if draws is not None and self.jitter is not None:
            images = self.jitter.images(images, draws)
        return WordBatch(images / 127.5 - 1, words.with_values(words.values.long()), columns["sets"])


@dataclass(frozen=True)
class Alphabet:
    """Turns texts into letters. What is not in `letters` is left out of a text, as the papers do.

    Where `letters` has no capitals, those of a text become small.
    """

    letters: str

    def numbers(self, text: str) -> bytes:
        """Return the numbers of a text's letters, from 1."""
        if self.letters == self.letters.lower():
            text = text.lower()
        found = (self.letters.find(letter) + 1 for letter in text)
        return bytes(number for number in found if number)


def frames_of(words: Ragged) -> Tensor:
    """Return (N,) int64: the letters of each word, and a gap between each two equal neighbours."""
    values = words.values
    owner = torch.arange(len(words)).repeat_interleave(words.lengths, output_size=len(values))
    doubled = (values[1:] == values[:-1]) & (owner[1:] == owner[:-1])
    return words.lengths + owner[1:][doubled].bincount(minlength=len(words))
