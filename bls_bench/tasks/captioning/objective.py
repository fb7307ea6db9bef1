"""Captioning: cross-entropy of words, and how like people's captions those of the model are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.data.base import Data
from bls_bench.tasks.captioning.data import CaptionBatch, Captions
from bls_bench.tasks.captioning.meteor import meteor
from bls_bench.tasks.captioning.metrics import CIDEr, bleu
from bls_bench.tasks.captioning.showing import draw
from bls_bench.tasks.captioning.task import Captioning
from bls_bench.tasks.captioning.words import PAD, START
from bls_bench.tasks.objective import Loss, Measure, Objective, Place

# Images that are drawn at the end of a run.
SHOWN = 8
# Pixels that are looked at together when measuring: it bounds the memory.
MEASURED_PIXELS = 2**21


class Describing(Objective):
    """A batch is a `CaptionBatch`; a model returns logits (b, t, V), or, without words, what it says."""

    def __init__(self, task: Captioning, info: Captions) -> None:
        super().__init__()
        self.per_sample, self.meteor, self.info = task.per_sample, task.meteor, info
        self.measured_at_once = max(1, MEASURED_PIXELS // (info.frames * info.image_size**2))

    def loss(self, model: nn.Module, batch: CaptionBatch, place: Place, wanted: frozenset[str]) -> Loss:
        sums, counts = word_losses(model, batch)
        return Loss(sums / counts if self.per_sample else sums.sum() / counts.sum())

    @cached_property
    def cider(self) -> CIDEr:
        """Prepared once: the references are those of the whole test split."""
        return CIDEr(self.info.references)

    def measure(self) -> Alike:
        return Alike(self)

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw captions.png: test images, what is said of them, and a caption that people gave them."""
        device = next(model.parameters()).device
        few = torch.arange(min(SHOWN, len(data.test)))
        (batch,) = data.test.batches([few], 0, device)
        said = [self.info.vocabulary.said(row) for row in model(batch.images).tolist()]
        given = [self.info.references[number][0] for number in batch.numbers.tolist()]
        draw(batch.stills, said, given, folder / "captions.png")


def word_losses(model: nn.Module, batch: CaptionBatch) -> tuple[Tensor, Tensor]:
    """Return the sum of the losses of each caption's words and end, (b,) in nats, and how many those are."""
    # No further than the longest of the batch: what is padding in all of it costs nothing.
    counts = (batch.captions != PAD).sum(1)
    targets = batch.captions[:, : int(counts.max())]
    before = F.pad(targets[:, :-1], (1, 0), value=START)
    logits = model(batch.images, before).float()
    losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none", ignore_index=PAD)
    return losses.sum(1), counts


class Alike(Measure):
    """CIDEr-D, a hundred times the usual 0 ... 10 as papers print it; BLEU-4 and METEOR in percent."""

    def __init__(self, objective: Describing) -> None:
        self._objective = objective
        self._said: dict[int, tuple[str, ...]] = {}

    def update(self, model: nn.Module, batch: CaptionBatch) -> None:
        said = map(self._objective.info.vocabulary.said, model(batch.images).tolist())
        self._said.update(zip(batch.numbers.tolist(), said, strict=True))

    def state(self) -> dict[int, tuple[str, ...]]:
        return self._said

    def merge(self, states: Sequence[dict[int, tuple[str, ...]]]) -> None:
        # In the order of the pictures: a sum of floats is then the same under any number of processes.
        self._said = dict(
            sorted({number: words for state in states for number, words in state.items()}.items())
        )

    def compute(self) -> dict[str, float]:
        references = self._objective.info.references
        found = {
            "CIDEr": 100 * self._objective.cider.mean(self._said),
            "BLEU4": 100 * bleu(self._said, references),
        }
        return found | {"METEOR": 100 * meteor(self._said, references)} if self._objective.meteor else found
