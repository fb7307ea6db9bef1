"""Classification of texts: batches of padded tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.objective import Batch, Classifying


class ClassifyingText(Classifying):
    """A batch is {input_ids, attention_mask, labels}: (b, t) int64, (b, t) int64 of 0 and 1, (b,) int64."""

    def __init__(self, num_classes: int, smoothing: float, max_length: int) -> None:
        super().__init__(num_classes, smoothing)
        self.max_length = max_length

    def watch(self, model: nn.Module, wanted: frozenset[str]) -> None:
        """See `Classifying.watch`; raises InputError for texts longer than the model takes too."""
        super().watch(model, wanted)
        check_positions(model.positions, self.max_length)  # type: ignore[arg-type]

    def read(self, batch: Any) -> Batch:
        """Leave the labels out of what the model takes, and cut what is too long."""
        input_ids, attention_mask = shortened(batch["input_ids"], batch["attention_mask"], self.max_length)
        return {"input_ids": input_ids, "attention_mask": attention_mask}, batch["labels"]


def check_positions(positions: int | None, max_length: int) -> None:
    """Raise InputError where a model takes fewer tokens than a text may have; None: it takes any number."""
    if positions is not None and max_length > positions:
        raise InputError(
            f"task.max_length must be at most {positions}, the positions of the model, got {max_length}"
        )


def shortened(input_ids: Tensor, attention_mask: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Cut (b, t) tokens, padded on the right, to `length`; a text that is cut keeps its last token."""
    if input_ids.shape[1] <= length:
        return input_ids, attention_mask
    last = input_ids.gather(1, attention_mask.sum(1, keepdim=True) - 1)
    too_long = attention_mask[:, length : length + 1] == 1
    cut = input_ids[:, :length].clone()
    cut[:, -1:] = torch.where(too_long, last, cut[:, -1:])
    return cut, attention_mask[:, :length]
