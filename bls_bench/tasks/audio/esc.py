"""ESC-10 and ESC-50: environmental sounds in five folds, each of which is the test split in turn."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tqdm import tqdm

from bls_bench.data.base import Data
from bls_bench.data.trees import Tree
from bls_bench.system import settings
from bls_bench.system.errors import InputError, folded
from bls_bench.system.lazy import torch
from bls_bench.system.processes import process_rank
from bls_bench.tasks.audio.data import SoundDataset, Sounds, quantised

if TYPE_CHECKING:
    from torch import Tensor

NAMES = {"esc10": 10, "esc50": 50}
SUFFIXES = (".wav", ".ogg", ".flac")
FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class ESC(SoundDataset):
    """`name` is esc10 or esc50; the sounds of `fold` are the test split.

    root: as published, audio/ and meta/esc50.csv, from which esc10 takes its ten classes; or a folder per
    class, in which the first character of a file's name is its fold. rate: values a second, to which all
    sounds are brought. seconds: to which they are cut or filled up with silence.
    """

    requires: ClassVar[tuple[str, ...]] = ("soundfile",)
    extra: ClassVar[str] = "audio"
    root: str = settings.folder()
    fold: int = 1
    rate: int = 16000
    seconds: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name not in NAMES:
            raise ValueError(f"name must be one of {', '.join(NAMES)}, got {self.name!r}")
        if not 1 <= self.fold <= FOLDS:
            raise ValueError(f"fold must be 1 to {FOLDS}, got {self.fold}")
        if self.rate < 1000:
            raise ValueError(f"rate must be at least 1000, got {self.rate}")
        if not 0 < self.seconds <= 600:
            raise ValueError(f"seconds must be above 0 and at most 600, got {self.seconds}")

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        root = Path(self.root).expanduser()
        files = self._published(root) if (root / "meta").is_dir() else _by_folder(root)
        classes = tuple(sorted({kind for _, kind, _ in files}))
        if len(classes) != NAMES[self.name]:
            raise InputError(f"dataset.root={root} holds {len(classes)} classes, {self.name} has others")
        length = round(self.rate * self.seconds)
        waves, resampled = torch.zeros(len(files), length, dtype=torch.int16), 0
        for number, (path, _, _) in enumerate(tqdm(files, "decoding sounds", leave=False, disable=None)):
            wave, rate = decoded(path, self.rate)
            resampled += rate != self.rate
            waves[number, : len(wave)] = quantised(wave)[:length]
        if resampled and process_rank()[0] == 0:
            print(f"dataset.rate={self.rate}: {resampled} of {len(files)} sounds are resampled")
        targets = torch.tensor([classes.index(kind) for _, kind, _ in files])
        test = torch.tensor([fold == self.fold for _, _, fold in files])
        if not test.any() or test.all():
            raise InputError(f"dataset.fold={self.fold}: {int(test.sum())} of {len(files)} sounds are in it")
        info = Sounds(self.rate, length, classes)
        return self.made((waves[~test], targets[~test]), (waves[test], targets[test]), info, seed)

    def _published(self, root: Path) -> list[tuple[Path, str, int]]:
        """Return file, class and fold of each sound of ESC-50's own table."""
        table = root / "meta" / "esc50.csv"
        try:
            with table.open(encoding="utf-8", newline="") as file:
                return [
                    (root / "audio" / line["filename"], line["category"], int(line["fold"]))
                    for line in csv.DictReader(file)
                    if self.name == "esc50" or line["esc10"] == "True"
                ]
        except OSError as error:
            raise InputError(f"{table} cannot be read ({error.strerror})") from None
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{table} is not the table of ESC-50: {folded(error)}") from None


def _by_folder(root: Path) -> list[tuple[Path, str, int]]:
    """Return file, class and fold of each sound of a folder per class."""
    if not root.is_dir():
        raise InputError(f"dataset.root={root} is not a folder")
    tree = Tree(root, SUFFIXES)
    found = [(Path(file), kind) for kind, files in tree.classes().items() for file in files]
    tree.tell()
    if not found:
        raise InputError(f"dataset.root={root} holds neither meta/ nor folders of sounds")
    for path, _ in found:
        if path.name[0] not in map(str, range(1, FOLDS + 1)):
            raise InputError(f"{path}: the name must begin with its fold, 1 to {FOLDS}")
    return [(path, kind, int(path.name[0])) for path, kind in found]


def decoded(path: Path, rate: int) -> tuple[Tensor, int]:
    """Return a sound as (t,) float32 at `rate`, channels averaged, and its own rate.

    Raises InputError, naming the file, for one that cannot be decoded or is silent.
    """
    # Imported here: it needs a library of the system.
    import soundfile
    from scipy.signal import resample_poly

    try:
        values, own = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} cannot be decoded as a sound: {folded(error)}") from None
    wave = values.mean(1)
    if not abs(wave).max(initial=0.0) > 0:
        raise InputError(f"{path} is silent")
    if own != rate:
        wave = resample_poly(wave, rate, own)
    return torch.from_numpy(wave).float(), own
