"""Texts for the page of a run: the words again that tokens were made from."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from bls_bench.data.base import Data
from bls_bench.gallery.shown import Shown
from bls_bench.tasks.showing import batches, classes


def sentences(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield the text of each sample (n,), whole, and its class."""
    rows = (
        row[real == 1].tolist()
        for batch in batches(data, indices)
        for row, real in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    )
    for tokens, known in zip(rows, classes(data, indices), strict=True):
        yield Shown(known.label, text=data.info.words(tokens).strip())
