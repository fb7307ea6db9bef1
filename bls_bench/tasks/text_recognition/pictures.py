"""The base of data sets of pictures of words in files; each format says how it is read."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from bls_bench.data.base import Data
from bls_bench.data.columns import Ragged
from bls_bench.data.decoding import decode
from bls_bench.data.pictures import PictureFiles, check_apart, existing
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import Lazy, torch
from bls_bench.system.processes import process_rank
from bls_bench.tasks.text_recognition.data import JITTER, Alphabet, WordBatches, Words, frames_of

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor
    from torchvision.transforms.v2 import functional
else:
    functional = Lazy("torchvision.transforms.v2.functional")


class Source(Protocol):
    """One set of pictures with a text each."""

    def texts(self) -> Iterator[str]:
        """Yield the text of each picture. Raises InputError, naming the place, for what cannot be read."""
        ...

    def picture(self, index: int) -> tuple[str, bytes | None]:
        """Return the path of a picture, and its content where it is no file of its own."""
        ...


@dataclass(frozen=True, kw_only=True)
class WordPictures(PictureFiles):
    """Pictures of words, each scaled to `height` and `width` whatever its shape.

    train, benchmarks: the names of the sets under `root` that are trained and tested on. alphabet: the
    letters that are read; others are left out of a text, and capitals are small ones where it has none.
    longest: a training word of more letters is left out, as one is of which no letter is left.
    exif: turn pictures as their orientation tag says.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"words"})
    train: tuple[str, ...] = ("train",)
    benchmarks: tuple[str, ...] = ("test",)
    alphabet: str = "0123456789abcdefghijklmnopqrstuvwxyz"
    longest: int = 25
    height: int = 32
    width: int = 128
    exif: bool = settings.added(False, neutral=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_apart(self.train, self.benchmarks, "benchmarks")
        if not 1 <= len(set(self.alphabet)) == len(self.alphabet) <= 255:
            raise ValueError(f"alphabet must be 1 to 255 letters, each once, got {self.alphabet!r}")
        for name, least in (("longest", 1), ("height", 16), ("width", 16)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def source(self, root: Path, name: str) -> Source:
        """Return the set of this name; raises InputError if there is none."""
        raise NotImplementedError

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        root, make = existing(self.root), WordBatches(JITTER)
        train, test = self._reader(root, self.train, self.longest), self._reader(root, self.benchmarks, None)
        splits = self._splits(
            (train, test), (make, WordBatches()), make.draw, 3 * self.height * self.width, seed, device
        )
        frames = int(frames_of(train.words).max())
        size = self.height, self.width
        info = Words(*size, self.alphabet, self.longest, frames, tuple(self.benchmarks))
        return Data(train=splits[0], test=splits[1], info=info)

    def _reader(self, root: Path, names: Sequence[str], longest: int | None) -> WordReader:
        """Read the texts of some sets. longest: words of more letters are left out; None: no word is."""
        alphabet = Alphabet(self.alphabet)
        sources = tuple(self.source(root, name) for name in names)
        letters, lengths, sets, places = (array(kind) for kind in "BqBq")
        empty = long = 0
        for number, source in enumerate(sources):
            for place, text in enumerate(source.texts()):
                word = alphabet.numbers(text)
                if not word or (longest is not None and len(word) > longest):
                    empty, long = empty + (not word), long + bool(word)
                    continue
                letters.frombytes(word)
                lengths.append(len(word))
                sets.append(number)
                places.append(place)
        found = (f"{empty} has no letter of the alphabet",) * bool(empty)
        found += (f"{long} more than {longest}",) * bool(long)
        if found and process_rank()[0] == 0:
            of = f"of {len(lengths) + empty + long} words in {', '.join(names)}"
            print(f"dataset: {of} {' and '.join(found)}: left out")
        # By way of numpy, which keeps their types: torch.tensor would take eight bytes for each letter.
        values, counts, owners, at = (
            torch.from_numpy(np.array(column)) for column in (letters, lengths, sets, places)
        )
        words = Ragged(values, torch.cat([counts.new_zeros(1), counts.cumsum(0)]))
        return WordReader(sources, owners, at, words, self.height, self.width, self.exif)


@dataclass(frozen=True)
class WordReader:
    """A `Reader` of pictures. sets, places: (N,), the source of each and which of its pictures it is.

    exif: see `decode`.
    """

    sources: tuple[Source, ...]
    sets: Tensor
    places: Tensor
    words: Ragged
    height: int
    width: int
    exif: bool

    @property
    def ragged(self) -> frozenset[str]:
        return frozenset({"words"})

    def __len__(self) -> int:
        return len(self.places)

    def __call__(self, index: int) -> dict[str, Tensor]:
        """See `Reader`."""
        path, content = self.sources[int(self.sets[index])].picture(int(self.places[index]))
        start, end = self.words.starts[index : index + 2].tolist()
        shape = partial(scaled, height=self.height, width=self.width)
        return {
            "images": decode(path, shape, self.exif, content),
            "words": self.words.values[start:end],
            "sets": self.sets[index].long(),
        }


def scaled(picture: Image.Image, height: int, width: int) -> Tensor:
    """Return (3, height, width) uint8 of an RGB picture of any shape."""
    return functional.pil_to_tensor(picture.resize((width, height), 2))  # 2: bilinear


def check_text(text: str, where: str) -> str:
    """Return a text without the space around it; raises InputError if nothing is left."""
    if not (stripped := text.strip()):
        raise InputError(f"{where}: the picture has no text")
    return stripped
