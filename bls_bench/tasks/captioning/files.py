"""The base of the data sets that are pictures in files and lists of their captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bls_bench.data.base import Data
from bls_bench.data.decoding import decode, tell_depth
from bls_bench.data.jitter import Jitter
from bls_bench.data.letterbox import Letterbox
from bls_bench.data.pictures import Pictures, existing
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.tasks.captioning.data import CaptionBatches, Captions, Said, tell_cut, vocabulary_of
from bls_bench.tasks.captioning.frames import frames_of
from bls_bench.tasks.captioning.tokens import Tokens
from bls_bench.tasks.captioning.words import Vocabulary, words_of

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

# Not mirrored: captions tell left from right.
JITTER = Jitter(shift=0.08, scale=(0.85, 1.15), flip=False)


class Described(NamedTuple):
    """A picture's file, or a video's folder, and the words of each of its captions.

    frames: the files that are read of a video.
    """

    path: Path
    said: Said
    frames: Sequence[Path] = ()


@dataclass(frozen=True, kw_only=True)
class CaptionedPictures(Pictures):
    """longest: words of a caption at most, what is longer loses its end. least: a word that the training
    captions have less often is not known. subset: keeps at most so many training pictures, the first ones.
    exif: turn pictures as their orientation tag says. frames: a picture is a folder with the frames of a
    video, of which so many are taken, evenly spread; null: a file. tokenizer: a folder with one that
    transformers saved; captions are its tokens then, which `longest` counts; null: words.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"images", "captions"})
    longest: int = 24
    least: int = 2
    subset: int | None = None
    exif: bool = settings.added(False, neutral=False)
    tokenizer: str | None = settings.added(None, neutral=None, folder=True)
    frames: int | None = settings.added(None, neutral=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("longest", "least", "subset", "frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def described(self, root: Path) -> tuple[Sequence[Described], Sequence[Described]]:
        """Return the pictures to train on and those to test on. Raises InputError for wrong lists."""
        raise NotImplementedError

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        train, test = self.described(existing(self.root))
        train = train[: self.subset]
        if self.frames is None:
            check_there([one.path for one in (*train, *test)])
        else:
            train, test = (_framed(part, self.frames) for part in (train, test))
        tell_depth([str(path) for one in (*train, *test) for path in one.frames or [one.path]])
        said = [one.said for one in train]
        vocabulary = vocabulary_of(said, self.tokenizer, self.least)
        tell_cut(said, vocabulary, self.longest)
        readers = [
            CaptionReader(part, self.image_size, vocabulary, self.longest, self.exif)
            for part in (train, test)
        ]
        make = CaptionBatches(JITTER)
        data = self._loaded(
            (readers[0], readers[1]),
            (make, CaptionBatches()),
            make.draw,
            3 * self.image_size**2 * (self.frames or 1),
            (),
            seed,
            device,
        )
        references = [one.said for one in test]
        info = Captions(self.image_size, vocabulary, self.longest, references, self.frames or 1)
        return replace(data, info=info)


@dataclass(frozen=True)
class CaptionReader:
    """Reads pictures into squares of side `size`, and their captions. exif: see `decode`."""

    pictures: Sequence[Described]
    size: int
    vocabulary: Vocabulary | Tokens
    longest: int
    exif: bool

    @property
    def ragged(self) -> frozenset[str]:
        return frozenset({"captions"})

    def __len__(self) -> int:
        return len(self.pictures)

    def __call__(self, index: int) -> dict[str, Tensor]:
        """See `Reader`."""
        path, said, frames = self.pictures[index]
        read = [decode(str(file), self._square, self.exif) for file in frames or [path]]
        return {
            "images": torch.stack(read) if frames else read[0],
            "captions": self.vocabulary.rows(said, self.longest),
            "numbers": torch.tensor(index),
        }

    def _square(self, picture: Image.Image) -> Tensor:
        return Letterbox(*picture.size, self.size).image(picture)


def _framed(videos: Sequence[Described], count: int) -> Sequence[Described]:
    return [one._replace(frames=frames_of(one.path, count)) for one in videos]


def check_there(paths: Sequence[Path]) -> None:
    """Raise InputError for the first picture that is not there, of those that have captions."""
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path} has captions, but is not there")


def said_of(caption: Any, where: str) -> tuple[str, ...]:
    """Return the words of a caption. Raises InputError, naming `where` it stands, where there are none."""
    if not isinstance(caption, str):
        raise InputError(f"{where}: a caption must be text, got {caption!r}")
    words = words_of(caption)
    if not words:
        raise InputError(f"{where}: an empty caption")
    return words
