"""Pictures with captions: what is known of them, and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bls_bench.data.columns import Column
from bls_bench.data.jitter import Jitter
from bls_bench.system.lazy import torch
from bls_bench.system.processes import process_rank
from bls_bench.tasks.captioning.words import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

# The captions of a picture, each as its words.
Said = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Captions:
    """The `info` of pictures with captions.

    image_size: the side of a picture in pixels. longest: the words that a caption has at most.
    references: of each test picture, by its number, the captions that people gave it, whole.
    """

    image_size: int
    vocabulary: Vocabulary
    longest: int
    references: Sequence[Said]


class CaptionBatch(NamedTuple):
    """images: (b, 3, S, S) float32 in [0, 1]. captions: (b, longest + 1) int64, words, END and PAD.

    numbers: (b,) int64, those of the pictures in their split.
    """

    images: Tensor
    captions: Tensor
    numbers: Tensor


@dataclass(frozen=True)
class CaptionBatches:
    """Make a `CaptionBatch` of "images" (b, 3, S, S) uint8, "captions", rows (m, longest + 1), and "numbers".

    The caption of a picture is one of its m, another in each epoch, where numbers are drawn, else the first.
    """

    jitter: Jitter | None = None

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw (count, 5) float32: the jitter's numbers, and which caption, in [0, 1)."""
        assert self.jitter is not None
        moves = self.jitter.draw(count, generator)
        return torch.cat([moves, torch.rand(count, 1, generator=generator)], 1)

    def __call__(self, columns: dict[str, Column], draws: Tensor | None) -> CaptionBatch:
        images, captions = columns["images"].float(), columns["captions"]
        chosen = captions.starts[:-1]
        if draws is not None and self.jitter is not None:
            images = self.jitter.images(images, draws[:, :4])
            # Rounding might make of 0.999... of m the number m.
            picked = (draws[:, 4] * captions.lengths).long()
            chosen = chosen + picked.minimum(captions.lengths - 1)
        return CaptionBatch(images / 255, captions.values[chosen].long(), columns["numbers"])


def tell_cut(said: Sequence[Said], longest: int) -> None:
    """Print how many captions are too long, if any are."""
    lengths = [len(caption) for captions in said for caption in captions]
    cut = sum(length > longest for length in lengths)
    if cut and process_rank()[0] == 0:
        print(
            f"dataset.longest={longest}: {cut} of {len(lengths)} training captions are cut, "
            f"the longest has {max(lengths)} words"
        )
