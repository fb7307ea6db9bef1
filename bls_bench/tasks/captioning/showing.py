"""Pictures with their captions, for the page of a run and for its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill

import torch
from matplotlib.figure import Figure
from torch import Tensor

from bls_bench.data.base import Data
from bls_bench.gallery.shown import Shown
from bls_bench.tasks.captioning.data import CaptionBatch
from bls_bench.tasks.showing import batches, picture

Words = Sequence[str]


def described(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield training images (n,) with the first of their captions."""
    batch: CaptionBatch
    for batch in batches(data, indices):
        for image, caption in zip(batch.stills, batch.captions.tolist(), strict=True):
            words = data.info.vocabulary.said(caption)
            yield Shown(picture=picture((image * 255).round().to(torch.uint8)), text=" ".join(words))


def draw(images: Tensor, said: Sequence[Words], given: Sequence[Words], path: Path) -> None:
    """Draw images (n, 3, S, S) in [0, 1], below each what is said of it and what people say."""
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(3.2 * columns, 4.2 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.axis("off")
    for axis, image, own, other in zip(axes, images, said, given, strict=False):
        axis.imshow(picture((image * 255).round().to(torch.uint8)))
        # Matplotlib wraps at the figure's edge, not at the picture's.
        text = f"{_wrapped(own) or '(nothing)'}\n[{_wrapped(other)}]"
        axis.text(0.5, -0.03, text, transform=axis.transAxes, ha="center", va="top", fontsize=8)
    figure.savefig(path, dpi=80)


def _wrapped(words: Words, width: int = 36) -> str:
    return fill(" ".join(words).replace("$", r"\$"), width)
