"""Recognition of text: the loss of the model's kind, and the share of words that are read rightly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from bls_bench.data.base import Data
from bls_bench.tasks.objective import Loss, Measure, Objective, Place
from bls_bench.tasks.showing import spread
from bls_bench.tasks.text_recognition.data import WordBatch, Words
from bls_bench.tasks.text_recognition.drawing import captioned
from bls_bench.tasks.text_recognition.networks import Reader
from bls_bench.tasks.text_recognition.reading import Reading, right
from bls_bench.tasks.text_recognition.task import TextRecognition, metric_of

SHOWN = 24


class Recognising(Objective):
    """A batch is a `WordBatch`; a model returns logits (b, T, letters + 1), which its `reading` explains."""

    reading: Reading

    def __init__(self, task: TextRecognition, info: Words) -> None:
        super().__init__()
        self.info, self.per_sample = info, task.per_sample

    def watch(self, model: nn.Module, wanted: frozenset[str]) -> None:
        """Take the model's way of reading; raises InputError for words that it cannot learn."""
        self.reading = cast(Reader, model).reading
        self.reading.check(self.info)

    def loss(self, model: nn.Module, batch: WordBatch, place: Place, wanted: frozenset[str]) -> Loss:
        logits = model(batch.images).float()
        loss = self.reading.losses if self.per_sample else self.reading.batch_loss
        return Loss(loss(logits, batch.words))

    def measure(self) -> WordAccuracy:
        return WordAccuracy(self.reading, self.info.benchmarks)

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw words.png: some test pictures, each with its text and, where it differs, what is read."""
        device = next(model.parameters()).device
        (batch,) = data.test.batches([spread(len(data.test), SHOWN)], 0, device)
        read, known = self.reading.read(model(batch.images).float()), batch.words.rows()
        texts = []
        for found, word in zip(read, known, strict=True):
            text, truth = self.info.text(found), self.info.text(word)
            texts.append(truth if text == truth else f"{truth}, read: {text}")
        captioned(batch.images / 2 + 0.5, texts).save(folder / "words.png")


class WordAccuracy(Measure):
    """The share of words whose letters are all right, in percent; of each set too, where there are more."""

    def __init__(self, reading: Reading, benchmarks: Sequence[str]) -> None:
        self.reading, self.benchmarks = reading, benchmarks
        # Words that are right, and all, of each set.
        self._counts = torch.zeros(2, max(1, len(benchmarks)), dtype=torch.int64)

    def update(self, model: nn.Module, batch: WordBatch) -> None:
        same = right(self.reading.read(model(batch.images)), batch.words)
        size = self._counts.shape[1]
        found = torch.stack([sets.bincount(minlength=size) for sets in (batch.sets[same], batch.sets)])
        self._counts = self._counts.to(found.device) + found

    def state(self) -> Tensor:
        return self._counts.cpu()

    def merge(self, states: Sequence[Tensor]) -> None:
        self._counts = torch.stack(list(states)).sum(0)

    def compute(self) -> dict[str, float]:
        found, total = self._counts.double()
        values = {"word_accuracy": 100 * float(found.sum() / total.sum())}
        if len(self.benchmarks) > 1:
            shares = (100 * found / total).tolist()
            values |= {metric_of(name): share for name, share in zip(self.benchmarks, shares, strict=True)}
        return values
