"""Captions as the tokens of a tokenizer that transformers saved, in place of whole words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.tasks.captioning.words import END, PAD, SPECIAL, words_of

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

# Tokens are numbered from here on, behind what is no word.
FIRST = len(SPECIAL)


@dataclass(frozen=True)
class Tokens:
    """The same as `Vocabulary`, by tokens: number `FIRST + i` is token i. end: the token that ends a text."""

    tokenizer: PreTrainedTokenizerBase
    end: int

    @classmethod
    def opened(cls, folder: str) -> Tokens:
        """Read the tokenizer of a folder. Raises InputError if there is none, or none that ends a text."""
        if not Path(folder).expanduser().is_dir():
            raise InputError(f"dataset.tokenizer={folder} is not a folder")
        if find_spec("transformers") is None:
            raise InputError(
                "dataset.tokenizer needs transformers, which is not installed: pip install 'bls_bench[text]'"
            )
        # Imported here: it takes seconds.
        from bls_bench.tasks.text.tokenizing import opened

        tokenizer = opened(folder)
        if tokenizer.eos_token_id is None:
            raise InputError(f"dataset.tokenizer={folder} has no token that ends a text")
        return cls(tokenizer, tokenizer.eos_token_id)

    def __len__(self) -> int:
        return FIRST + len(self.tokenizer)

    def length(self, caption: Sequence[str]) -> int:
        """Return how many tokens a caption has."""
        return len(self._of(caption))

    def rows(self, captions: Sequence[Sequence[str]], longest: int) -> Tensor:
        """Return (n, longest + 1) int32: the first `longest` tokens of each, an END, and PAD."""
        table = torch.full((len(captions), longest + 1), PAD, dtype=torch.int32)
        for row, caption in zip(table, captions, strict=True):
            numbers = [FIRST + token for token in self._of(caption)[:longest]]
            row[: len(numbers) + 1] = torch.tensor([*numbers, END], dtype=torch.int32)
        return table

    def said(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """Return the words of numbers, up to the first END."""
        found: list[int] = []
        for number in numbers:
            if number == END:
                break
            if number >= FIRST:
                found.append(number - FIRST)
        return words_of(str(self.tokenizer.decode(found, skip_special_tokens=True)))

    def _of(self, caption: Sequence[str]) -> list[int]:
        return self.tokenizer(" ".join(caption), add_special_tokens=False)["input_ids"]
