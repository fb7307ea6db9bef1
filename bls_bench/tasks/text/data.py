"""What every data set of texts does: read them, turn them into tokens, pad a batch on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bls_bench.data.base import Data
from bls_bench.data.classes import Labelled
from bls_bench.data.columns import Column, Columns
from bls_bench.system import settings
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

# The 256 bytes and the special tokens.
SMALLEST = 259


@dataclass(frozen=True)
class Texts:
    """The `info` of texts.

    vocabulary: how many tokens there are. pad: the one that fills rows up. lengths: (N,) int64, the tokens
    of each training and test text. classes: their names (none without). words: returns the text of tokens.
    """

    vocabulary: int
    pad: int
    lengths: Tensor
    classes: tuple[str, ...] = ()
    words: Callable[[Sequence[int]], str] = str

    @property
    def num_classes(self) -> int:
        return len(self.classes)


class Sentences(NamedTuple):
    """Texts and the number of the class of each."""

    texts: list[str]
    targets: list[int]


@dataclass(frozen=True, kw_only=True)
class TextDataset(Labelled):
    """Texts with a class each.

    tokenizer: a folder with one that transformers saved; null: one is trained on the training texts, of
    `vocabulary` tokens.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"text", "classes"})
    requires: ClassVar[tuple[str, ...]] = ("tokenizers", "transformers")
    extra: ClassVar[str] = "text"
    tokenizer: str | None = settings.folder(None)
    vocabulary: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocabulary < SMALLEST:
            raise ValueError(f"vocabulary must be at least {SMALLEST}, got {self.vocabulary}")

    def read(self) -> tuple[tuple[str, ...], Sentences, Sentences]:
        """Return the names of the classes, the training and the test texts; raises InputError."""
        raise NotImplementedError

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        # Imported here: they take seconds.
        from bls_bench.tasks.text.tokenizing import decoder, opened, tokens, trained

        classes, train, test = self.read()
        kept, labels = self.arranged(torch.tensor(train.targets))
        texts = [train.texts[i] for i in kept.tolist()]
        given = self.tokenizer
        tokenizer = trained(texts, self.vocabulary) if given is None else opened(given)
        rows, test_rows = tokens(tokenizer, texts), tokens(tokenizer, test.texts)
        make = Padded(tokenizer.pad_token_id)
        # Batches of about one length are evaluated faster; the metrics do not mind.
        order = test_rows.lengths.argsort(stable=True)
        return Data(
            train=Columns({"tokens": rows, "labels": labels}, make, seed),
            test=Columns({"tokens": test_rows[order], "labels": torch.tensor(test.targets)[order]}, make),
            info=Texts(
                vocabulary=len(tokenizer),
                pad=tokenizer.pad_token_id,
                lengths=torch.cat([rows.lengths, test_rows.lengths]),
                classes=classes,
                words=decoder(tokenizer),
            ),
            targets=labels,
            lengths=rows.lengths,
        )


@dataclass(frozen=True)
class Padded:
    """Makes a batch {input_ids, attention_mask, labels} of the columns `tokens` and `labels`."""

    pad: int

    def __call__(self, columns: dict[str, Column], draws: Tensor | None) -> dict[str, Any]:
        input_ids, real = columns["tokens"].padded(self.pad)
        return {
            "input_ids": input_ids.long(),
            "attention_mask": real.long(),
            "labels": columns["labels"],
        }


def digest(text: str) -> bytes:
    """Return what a text is ordered and split by, where its data set has no split of its own."""
    return hashlib.sha256(text.encode()).digest()


def held_back(text: str, test_of: int = 5) -> bool:
    """Return whether the digest of a text puts it among the about one of `test_of` to test with."""
    return digest(text)[-1] % test_of == 0


def split(sentences: Sentences, test_of: int = 5) -> tuple[Sentences, Sentences]:
    """Put about one of `test_of` texts into a test part, by the digest of the text alone.

    So a text stays where it is when others come or go, and equal ones are on the same side.
    """
    sides: tuple[Sentences, Sentences] = (Sentences([], []), Sentences([], []))
    for text, target in zip(*sentences, strict=True):
        side = sides[held_back(text, test_of)]
        side.texts.append(text)
        side.targets.append(target)
    return sides
