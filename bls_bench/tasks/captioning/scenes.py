"""Scenes of handwritten digits and what there is to say of them: the data that captioning comes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data import scenes
from bls_bench.data.base import Data
from bls_bench.data.columns import Columns, Ragged
from bls_bench.data.jitter import Jitter
from bls_bench.system import settings
from bls_bench.system.lazy import torch
from bls_bench.tasks.captioning.data import CaptionBatches, Captions, Said, vocabulary_of
from bls_bench.tasks.captioning.tokens import Tokens
from bls_bench.tasks.captioning.words import Vocabulary, words_of

if TYPE_CHECKING:
    from torch import Tensor

# Little: a caption says where a digit lies. Never mirrored.
JITTER = Jitter(shift=0.04, scale=(0.9, 1.1), flip=False)
NAMES = ["a zero", "a one", "a two", "a three", "a four", "a five", "a six", "a seven", "an eight", "a nine"]
ROWS, COLUMNS = ("top", "bottom"), ("left", "right")
NOTHING = ("nothing on the ground", "there is nothing on the ground", "nothing here", "a picture of nothing")


@dataclass(frozen=True, kw_only=True)
class DescribedScenes(scenes.SceneDataset):
    """`images` scenes to train on and a quarter as many to test on, of side `image_size`, of other digits.

    A scene holds none to `objects` digits. It has four captions, which tell in other words what is where.
    tokenizer: a folder with one that transformers saved, whose tokens captions are; null: words.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"images", "captions"})
    name: str = "described_scenes"
    images: int = 1200
    image_size: int = 48
    objects: int = 2
    tokenizer: str | None = settings.added(None, neutral=None, folder=True)

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        train, said = self._made(self.images, True)
        test, references = self._made(self.images // 4, False)
        vocabulary = vocabulary_of(said, self.tokenizer, 1)
        longest = max(vocabulary.length(caption) for captions in said for caption in captions)
        make = CaptionBatches(JITTER)
        return Data(
            train=Columns(_columns(train, said, vocabulary, longest), make, seed, make.draw),
            test=Columns(_columns(test, references, vocabulary, longest), CaptionBatches()),
            info=Captions(self.image_size, vocabulary, longest, references),
        )

    def _made(self, count: int, train: bool) -> tuple[Tensor, list[Said]]:
        made = scenes.compose(count, self.image_size, self.objects, train)
        things = zip(made.digits.rows(), made.boxes.rows(), strict=True)
        return made.images, [
            [words_of(caption) for caption in captions_of(digits, boxes, self.image_size)]
            for digits, boxes in things
        ]


def _columns(
    images: Tensor, said: list[Said], vocabulary: Vocabulary | Tokens, longest: int
) -> dict[str, object]:
    rows = Ragged.of([vocabulary.rows(captions, longest) for captions in said])
    return {"images": images, "captions": rows, "numbers": torch.arange(len(images))}


def captions_of(digits: Tensor, boxes: Tensor, size: int) -> tuple[str, ...]:
    """Return four captions of a scene: digits (m,), from 0 to 9, and their boxes (m, 4) in pixels."""
    if not len(digits):
        return NOTHING
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    order = centres[:, 0].argsort(stable=True)
    names = [NAMES[digit] for digit in digits[order].tolist()]
    halves = [(ROWS[y >= size / 2], COLUMNS[x >= size / 2]) for x, y in centres[order].tolist()]
    places = [f"{name} at the {row} {column}" for name, (row, column) in zip(names, halves, strict=True)]
    forth, back = " and ".join(places), " and ".join(reversed(places))
    return forth, f"there is {forth}", back, f"a picture of {forth}"
