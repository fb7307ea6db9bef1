"""Pictures of words with their text, for the page of a run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bls_bench.data.base import Data
from bls_bench.gallery.shown import Shown
from bls_bench.tasks.showing import batches, picture
from bls_bench.tasks.text_recognition.data import WordBatch


def lettered(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield training pictures (n,) with the letters of their words."""
    batch: WordBatch
    for batch in batches(data, indices):
        pixels = ((batch.images + 1) * 127.5).round().to(torch.uint8)
        for image, word in zip(pixels, batch.words.rows(), strict=True):
            yield Shown(data.info.text(word), picture(image))
