"""Pictures with captions: what is known of them, and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bls_bench.data.columns import Column
from bls_bench.data.jitter import Jitter
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.system.processes import process_rank
from bls_bench.tasks.captioning.tokens import Tokens
from bls_bench.tasks.captioning.words import SPECIAL, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

# The captions of a picture, each as its words.
Said = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Captions:
    """The `info` of pictures with captions.

    image_size: the side of a picture in pixels. vocabulary: numbers what a caption is made of, words or
    tokens. longest: how many of these a caption has at most. references: of each test picture, by its
    number, the captions that people gave it, whole, as words. frames: of a picture that is a video.
    """

    image_size: int
    vocabulary: Vocabulary | Tokens
    longest: int
    references: Sequence[Said]
    frames: int = 1


class CaptionBatch(NamedTuple):
    """images: (b, 3, S, S) float32 in [0, 1], of videos (b, frames, 3, S, S).

    captions: (b, longest + 1) int64, words, END and PAD. numbers: (b,) int64, of the pictures in their split.
    """

    images: Tensor
    captions: Tensor
    numbers: Tensor

    @property
    def stills(self) -> Tensor:
        """What can be shown: the images, of videos the frame in the middle, (b, 3, S, S)."""
        return self.images if self.images.ndim == 4 else self.images[:, self.images.shape[1] // 2]


@dataclass(frozen=True)
class CaptionBatches:
    """Make a `CaptionBatch` of "images" (b, 3, S, S) uint8, "captions", rows (m, longest + 1), and "numbers".

    The frames of a video, (b, frames, 3, S, S), are all moved alike. The caption of a picture is one of its
    m, another in each epoch, where numbers are drawn, else the first.
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
            channels = images.flatten(1, -3)
            images = self.jitter.images(channels, draws[:, :4]).view(images.shape)
            # Rounding might make of 0.999... of m the number m.
            picked = (draws[:, 4] * captions.lengths).long()
            chosen = chosen + picked.minimum(captions.lengths - 1)
        return CaptionBatch(images / 255, captions.values[chosen].long(), columns["numbers"])


def vocabulary_of(said: Sequence[Said], tokenizer: str | None, least: int) -> Vocabulary | Tokens:
    """Return the tokens of the folder `tokenizer`, or without one the words of the captions.

    least: how often a word has to be there. Raises InputError where that leaves none, and as `Tokens.opened`.
    """
    if tokenizer is not None:
        return Tokens.opened(tokenizer)
    words = Vocabulary.of((caption for captions in said for caption in captions), least)
    if said and len(words) == len(SPECIAL):
        raise InputError(f"dataset.least={least} leaves no word of the training captions")
    return words


def tell_cut(said: Sequence[Said], vocabulary: Vocabulary | Tokens, longest: int) -> None:
    """Print how many captions are too long, if any are."""
    lengths = [vocabulary.length(caption) for captions in said for caption in captions]
    cut = sum(length > longest for length in lengths)
    if cut and process_rank()[0] == 0:
        print(
            f"dataset.longest={longest}: {cut} of {len(lengths)} training captions are cut, "
            f"the longest has {max(lengths)} {'words' if vocabulary.end is None else 'tokens'}"
        )
