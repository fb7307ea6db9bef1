"""What every data set of instructions does: tokens of prompt and answer, cut, and padded on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bls_bench.data.base import Data, Dataset
from bls_bench.data.columns import Column, Columns, Ragged
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.system.processes import process_rank
from bls_bench.tasks.text.data import SMALLEST, Texts

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

# The label of a token without a loss: of the prompt, and what fills a row up.
NO_LOSS = -100


class Pair(NamedTuple):
    """What the model is given, and what it shall continue it with."""

    prompt: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class InstructionDataset(Dataset):
    """Prompts with answers.

    max_length: tokens of prompt and answer together; what is longer loses its end, and a sample that has no
    token of its answer left is left out. tokenizer: a folder with one that transformers saved; null: one is
    trained on the training texts, of `vocabulary` tokens. subset: keeps the first so many training samples.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"answers"})
    requires: ClassVar[tuple[str, ...]] = ("tokenizers", "transformers")
    extra: ClassVar[str] = "language"
    max_length: int = 128
    tokenizer: str | None = settings.folder(None)
    vocabulary: int = 2000
    subset: int | None = None

    def __post_init__(self) -> None:
        if self.max_length < 3:
            raise ValueError(f"max_length must be at least 3, got {self.max_length}")
        if self.vocabulary < SMALLEST:
            raise ValueError(f"vocabulary must be at least {SMALLEST}, got {self.vocabulary}")
        if self.subset is not None and self.subset < 1:
            raise ValueError(f"subset must be null or at least 1, got {self.subset}")

    def read(self) -> tuple[list[Pair], list[Pair]]:
        """Return the training and the test samples; raises InputError."""
        raise NotImplementedError

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        # Imported here: they take seconds.
        from bls_bench.tasks.text.tokenizing import CLS, SEP, decoder, opened, trained

        train, test = self.read()
        train = train[: self.subset]
        tokenizer: PreTrainedTokenizerBase
        if self.tokenizer is None:
            tokenizer = trained([text for pair in train for text in pair], self.vocabulary)
            tokenizer.bos_token, tokenizer.eos_token = CLS, SEP
        else:
            tokenizer = opened(self.tokenizer)
            if tokenizer.eos_token_id is None:
                raise InputError(f"dataset.tokenizer={self.tokenizer} has no token that ends a text")
        rows = self._rows(tokenizer, train, "training")
        test_rows = self._rows(tokenizer, test, "test")
        return Data(
            train=Columns(rows, Answers(tokenizer.pad_token_id), seed),
            test=Columns(test_rows, Answers(tokenizer.pad_token_id)),
            info=Texts(
                vocabulary=len(tokenizer),
                pad=tokenizer.pad_token_id,
                lengths=torch.cat([rows["tokens"].lengths, test_rows["tokens"].lengths]),
                words=decoder(tokenizer),
            ),
            lengths=rows["tokens"].lengths,
        )

    def _rows(
        self, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair], part: str
    ) -> dict[str, Column]:
        """Return the columns `tokens` and `prompt`, how many of them are the prompt's; tells what is cut."""
        from bls_bench.tasks.text.tokenizing import tokens

        prompts = tokens(tokenizer, [pair.prompt for pair in pairs], special=False).rows()
        answers = tokens(tokenizer, [pair.answer for pair in pairs], special=False).rows()
        # LLaMA's tokenizer begins a text with a token, GPT-2's does not.
        begin = torch.tensor([] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id])
        end = torch.tensor([tokenizer.eos_token_id])
        rows = [torch.cat([begin, *both, end]).int() for both in zip(prompts, answers, strict=True)]
        firsts = torch.tensor([len(begin) + len(prompt) for prompt in prompts])
        lengths = torch.tensor([len(row) for row in rows])
        kept = firsts < self.max_length
        if process_rank()[0] == 0 and bool((lengths > self.max_length).any()):
            print(
                f"dataset.max_length={self.max_length}: {int((lengths > self.max_length).sum())} of "
                f"{len(rows)} {part} samples are too long, the longest has {int(lengths.max())} tokens; "
                f"{int((~kept).sum())} have no room for an answer and are left out"
            )
        if not kept.any():
            raise InputError(f"dataset.max_length={self.max_length} leaves no {part} sample an answer")
        cut = [row[: self.max_length] for row, keep in zip(rows, kept.tolist(), strict=True) if keep]
        return {"tokens": Ragged.of(cut), "prompt": firsts[kept]}


@dataclass(frozen=True)
class Answers:
    """Makes a batch {input_ids, attention_mask, labels}, (b, t) int64 each, of the columns of a data set.

    labels: the tokens of the answer and the one that ends it, `NO_LOSS` elsewhere.
    """

    pad: int

    def __call__(self, columns: dict[str, Column], draws: Tensor | None) -> dict[str, Any]:
        input_ids, real = columns["tokens"].padded(self.pad)
        at = torch.arange(input_ids.shape[1], device=input_ids.device)
        answer = real & (at >= columns["prompt"][:, None])
        input_ids = input_ids.long()
        return {
            "input_ids": input_ids,
            "attention_mask": real.long(),
            "labels": input_ids.where(answer, NO_LOSS),
        }
