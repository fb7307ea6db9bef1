"""Instruction tuning: cross-entropy of answers, and their perplexity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.tasks.language.data import NO_LOSS
from bls_bench.tasks.language.task import Language
from bls_bench.tasks.objective import Loss, Measure, Objective, Place
from bls_bench.tasks.text.data import Texts

# Logits that are computed at once when measuring: it bounds the memory.
MEASURED_LOGITS = 2**24


class Answering(Objective):
    """A batch is {input_ids, attention_mask, labels}, see `Answers`; a model returns logits (b, t, V)."""

    def __init__(self, task: Language, info: Texts) -> None:
        super().__init__()
        self.per_sample = task.per_sample
        self.measured_at_once = max(1, MEASURED_LOGITS // (int(info.lengths.max()) * info.vocabulary))

    def loss(self, model: nn.Module, batch: Any, place: Place, wanted: frozenset[str]) -> Loss:
        sums, counts = token_losses(model, batch)
        # Every sample has a token of its answer: the data set leaves out those without.
        return Loss(sums / counts if self.per_sample else sums.sum() / counts.sum())

    def measure(self) -> Likelihood:
        return Likelihood()


def token_losses(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses of each answer's tokens, (b,) in nats, and how many tokens those are."""
    logits = model({"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]})
    labels = batch["labels"][:, 1:]
    losses = F.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), labels, reduction="none", ignore_index=NO_LOSS
    )
    return losses.sum(1), (labels != NO_LOSS).sum(1)


class Likelihood(Measure):
    """nll: the mean over the tokens of all answers and their ends, in nats; perplexity: exp of it."""

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._count: Tensor | int = 0

    def update(self, model: nn.Module, batch: Any) -> None:
        sums, counts = token_losses(model, batch)
        # Kept on the device: a number here would wait for it in every batch.
        self._total = self._total + sums.sum(dtype=torch.float64)
        self._count = self._count + counts.sum()

    def state(self) -> tuple[float, int]:
        return float(self._total), int(self._count)

    def merge(self, states: Sequence[tuple[float, int]]) -> None:
        self._total, self._count = sum(total for total, _ in states), sum(count for _, count in states)

    def compute(self) -> dict[str, float]:
        nll = float(self._total) / int(self._count)
        # Of a tensor: where it is beyond all floats it is infinite, which Python's own refuses.
        return {"nll": nll, "perplexity": float(torch.tensor(nll, dtype=torch.float64).exp())}
