"""Words of handwritten digits: the data that text recognition comes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Data, Dataset
from bls_bench.data.columns import Columns, Ragged
from bls_bench.data.scenes import ground, handwritten
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream
from bls_bench.tasks.text_recognition.data import JITTER, WordBatches, Words, frames_of

if TYPE_CHECKING:
    from torch import Tensor

ALPHABET = "0123456789"
# Sides of a digit as shares of the picture's height, and the way to the next one as a share of the side.
SIDES, STEPS = (0.6, 0.9), (0.65, 0.9)


@dataclass(frozen=True, kw_only=True)
class DigitWords(Dataset):
    """`words` pictures to train on and a quarter as many to test on, of other digits.

    On each are one to `digits` of scikit-learn's handwritten digits, side by side on a shaded, noisy ground.
    height, width: of a picture in pixels; long words have smaller digits, so that they fit.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"words"})
    name: str = "digit_words"
    words: int = 2000
    digits: int = 6
    height: int = 32
    width: int = 96

    def __post_init__(self) -> None:
        for name, least in (("words", 4), ("digits", 1), ("height", 16), ("width", 16)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        make = WordBatches(JITTER)
        train, test = self._columns(self.words, True), self._columns(self.words // 4, False)
        words = train["words"]
        assert isinstance(words, Ragged)
        frames = int(frames_of(words).max())
        return Data(
            train=Columns(train, make, seed, make.draw),
            test=Columns(test, WordBatches()),
            info=Words(self.height, self.width, ALPHABET, self.digits, frames),
        )

    def _columns(self, count: int, train: bool) -> dict[str, Tensor | Ragged]:
        glyphs, classes = handwritten()[0 if train else 1]
        images, words = [], []
        for number in range(count):
            # Of the data, not of the run: another seed trains on the same words.
            generator = stream(0, "digit_words", "train" if train else "test", number)
            length = int(torch.randint(1, self.digits + 1, (1,), generator=generator))
            which = torch.randint(len(glyphs), (length,), generator=generator)
            images.append(self._picture(glyphs[which], generator))
            words.append((classes[which] + 1).to(torch.uint8))
        sets = torch.zeros(count, dtype=torch.int64)
        return {"images": torch.stack(images), "words": Ragged.of(words), "sets": sets}

    def _picture(self, glyphs: Tensor, generator: torch.Generator) -> Tensor:
        """Return (3, height, width) uint8 of (n, 8, 8) digits."""
        count = len(glyphs)
        image = ground(self.height, self.width, generator)
        sizes = torch.rand(2, count, generator=generator)
        sides = self.height * (SIDES[0] + (SIDES[1] - SIDES[0]) * sizes[0])
        steps = sides * (STEPS[0] + (STEPS[1] - STEPS[0]) * sizes[1])
        extent = steps[:-1].sum() + sides[-1]
        shrink = min(1.0, float((self.width - 1) / extent))
        whole = (sides * shrink).int().clamp_min(1)
        start = torch.rand(1, generator=generator) * (self.width - extent * shrink)
        lefts = (start + torch.cat([torch.zeros(1), steps.cumsum(0)[:-1]]) * shrink).int()
        tops = (torch.rand(count, generator=generator) * (self.height - whole + 1)).int()
        colour = 0.55 + 0.45 * torch.rand(3, 1, 1, generator=generator)
        for glyph, side, left, top in zip(glyphs, whole.tolist(), lefts.tolist(), tops.tolist(), strict=True):
            cover = torch.nn.functional.interpolate(glyph[None, None], (side, side), mode="bilinear")[0]
            window = image[:, top : top + side, left : left + side]
            window += cover * (colour - window)
        return (image.clamp(0, 1) * 255).round().to(torch.uint8)
