"""The two ways from logits to a word, and the loss of each."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from bls_bench.data.columns import Ragged
from bls_bench.system.errors import InputError
from bls_bench.tasks.text_recognition.data import Words

# A place behind the end of a word.
BEHIND = -100


class Reading(Protocol):
    """What a network's logits (b, T, letters + 1) mean; number 0 is no letter."""

    def check(self, info: Words) -> None:
        """Raise InputError for words that cannot be learnt so."""
        ...

    def losses(self, logits: Tensor, words: Ragged) -> Tensor:
        """Return the loss of each word for each of its letters, (b,) in nats."""
        ...

    def batch_loss(self, logits: Tensor, words: Ragged) -> Tensor:
        """Return the 0-d loss of the batch for each letter, in nats, as it is usually taken."""
        ...

    def read(self, logits: Tensor) -> Tensor:
        """Return the letters that are read, (b, n) int64 from 1, 0 behind the last."""
        ...


class Alignments:
    """Connectionist temporal classification (Graves et al. 2006).

    Of every frame a letter or, as 0, none is told. The likelihood of a word is summed over all that is told
    which, with repeats taken together and gaps left out, gives the word.
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def check(self, info: Words) -> None:
        if info.frames > self.frames:
            raise InputError(
                f"a training word takes {info.frames} frames, and the model gives {self.frames} for "
                f"dataset.width={info.width}: take wider pictures or leave out long words"
            )

    def losses(self, logits: Tensor, words: Ragged) -> Tensor:
        # Those on a GPU would be copied from it, with a wait.
        lengths, chances = words.on_host.diff(), logits.log_softmax(2).transpose(0, 1)
        frames = torch.full_like(lengths, logits.shape[1])
        return F.ctc_loss(chances, words.values, frames, lengths, reduction="none") / words.lengths

    def batch_loss(self, logits: Tensor, words: Ragged) -> Tensor:
        """The mean over words, as torch's own reduction is."""
        return self.losses(logits, words).mean()

    def read(self, logits: Tensor) -> Tensor:
        """Of every frame what is likeliest."""
        told = logits.argmax(2)
        gap = (told == 0) | (told == F.pad(told, (1, 0))[:, :-1])
        order = gap.long().argsort(dim=1, stable=True)
        return told.masked_fill(gap, 0).gather(1, order)


class Places:
    """The letter of each place at once, and 0 where the word has ended: cross-entropy."""

    def check(self, info: Words) -> None:
        pass

    def losses(self, logits: Tensor, words: Ragged) -> Tensor:
        return self._sums(logits, words) / (words.lengths + 1)

    def batch_loss(self, logits: Tensor, words: Ragged) -> Tensor:
        """The mean over all letters and ends."""
        return self._sums(logits, words).sum() / (words.lengths + 1).sum()

    def read(self, logits: Tensor) -> Tensor:
        told = logits.argmax(2)
        return told.masked_fill((told == 0).cumsum(1) > 0, 0)

    def _sums(self, logits: Tensor, words: Ragged) -> Tensor:
        """Return (b,): the cross-entropies of the letters and of the end."""
        place, lengths = torch.arange(logits.shape[1], device=logits.device), words.lengths[:, None]
        targets = torch.zeros(logits.shape[:2], dtype=torch.int64, device=logits.device)
        targets.masked_scatter_(place < lengths, words.values)  # indexing by a mask waits for the device
        targets.masked_fill_(place > lengths, BEHIND)
        losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none", ignore_index=BEHIND)
        return losses.sum(1)


def right(letters: Tensor, words: Ragged) -> Tensor:
    """Return (b,) bool: whether the letters (b, n), as `Reading.read` gives them, are the words."""
    table, _ = words.padded(0)
    width = max(letters.shape[1], table.shape[1])
    letters, table = (F.pad(one, (0, width - one.shape[1])) for one in (letters, table))
    return (letters == table).all(1)
