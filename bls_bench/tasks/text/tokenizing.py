"""Tokenizers, trained on the data at hand or read from a folder, and texts as columns of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from bls_bench.data.columns import Ragged
from bls_bench.system.errors import InputError, folded

PAD, CLS, SEP = "[PAD]", "[CLS]", "[SEP]"
# Texts that are tokenized at once: what the library keeps of them takes far more memory than the tokens.
CHUNK = 8192


def trained(texts: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE of at most `vocabulary` tokens (at least 259) of these texts.

    Nothing in it is random: the same texts give the same tokens. A text becomes [CLS] ... [SEP].
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, CLS, SEP],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(f"{CLS} $A {SEP}", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, cls_token=CLS, sep_token=SEP)


def opened(folder: str) -> PreTrainedTokenizerBase:
    """Read the tokenizer of a folder, or of a model on the hub; raises InputError if there is none."""
    try:
        path = Path(folder).expanduser()
        tokenizer = AutoTokenizer.from_pretrained(path if path.exists() else folder)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"dataset.tokenizer={folder}: {folded(error)}") from None
    if tokenizer.pad_token_id is None:  # as of GPT-2 and LLaMA, which were trained without padding
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def decoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[Sequence[int]], str]:
    """Return what turns tokens into the text again, without those around it."""
    return cast("Callable[[Sequence[int]], str]", partial(tokenizer.decode, skip_special_tokens=True))


def tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], special: bool = True) -> Ragged:
    """Return the texts as rows of int32 tokens, none of them cut; special: with those around a text."""
    rows: list[list[int]] = []
    for start in range(0, len(texts), CHUNK):
        rows += tokenizer(
            list(texts[start : start + CHUNK]),
            add_special_tokens=special,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
    values = torch.tensor(list(chain.from_iterable(rows)), dtype=torch.int32)
    starts = torch.tensor([0, *map(len, rows)]).cumsum(0)
    return Ragged(values, starts)
