"""A folder of images, without classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.augment import CropFlip
from bls_bench.data.base import Data, Dataset, Images, check_side
from bls_bench.data.decoding import tell_depth
from bls_bench.data.files import FolderSplit, worker_count
from bls_bench.data.split import Pixels
from bls_bench.data.trees import Tree, plain
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import Lazy, torch
from bls_bench.system.memory import CHOICES, keep_in_memory

if TYPE_CHECKING:
    from torchvision.transforms import v2
else:
    v2 = Lazy("torchvision.transforms.v2")


@dataclass(frozen=True, kw_only=True)
class Photos(Dataset):
    """All images below `root`, such as FFHQ's, scaled by their shorter side and cropped in the middle.

    channels: 3, or 1 for grey. held_out: every so manieth image, in the order of their names, is the test
    split. augment: whether training images are mirrored at random. people: whether each folder that holds
    images is a class (of faces, say), as own features for FID and guidance need it.
    in_memory, workers, exif: as of dataset=imagefolder.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"images"})
    name: str = "photos"
    root: str = settings.folder()
    image_size: int = 64
    channels: int = 3
    held_out: int = 10
    augment: bool = True
    people: bool = False
    in_memory: str = settings.unkeyed("auto")
    workers: int | str = settings.unkeyed("auto")
    exif: bool = settings.added(False, neutral=False)

    def __post_init__(self) -> None:
        if not self.root:
            raise ValueError(f"root must be a folder of images, got {self.root!r}")
        check_side(self.image_size)
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {self.channels}")
        if self.held_out < 2:
            raise ValueError(f"held_out must be at least 2, got {self.held_out}")
        if self.workers != "auto" and (isinstance(self.workers, str) or self.workers < 0):
            raise ValueError(f"workers must be auto or at least 0, got {self.workers}")
        object.__setattr__(self, "in_memory", str(self.in_memory).lower())  # YAML reads true as a bool
        if self.in_memory not in CHOICES:
            raise ValueError(f"in_memory must be one of {', '.join(CHOICES)}, got {self.in_memory!r}")

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        root = Path(self.root).expanduser()
        if not root.is_dir():
            raise InputError(f"dataset.root={root} is not a folder: it must hold images")
        tree = Tree(root)
        paths = sorted(map(Path, tree.files()))
        tree.tell()
        tell_depth([str(path) for path in paths])
        if len(paths) < self.held_out:
            raise InputError(
                f"dataset.root={root} must hold {self.held_out} images or more, got {len(paths)}"
            )
        within = [plain(str(path.parent.relative_to(root))) for path in paths]
        folders = sorted(set(within)) if self.people else []
        numbers = {name: number for number, name in enumerate(folders)}
        targets = torch.tensor([numbers.get(name, 0) for name in within])

        steps = [v2.Resize(self.image_size), v2.CenterCrop(self.image_size), v2.PILToTensor()]
        fit = v2.Compose(([v2.Grayscale()] if self.channels == 1 else []) + steps)
        needed = len(paths) * self.channels * self.image_size**2
        kept = keep_in_memory(self.in_memory, needed, device or torch.device("cpu"))
        mean, std = (0.5,) * self.channels, (0.5,) * self.channels
        mirror = CropFlip(padding=0, reflect=False, flip=True) if self.augment else None
        test = torch.arange(len(paths)) % self.held_out == self.held_out - 1

        def split(chosen: torch.Tensor, pixels: Pixels) -> FolderSplit:
            names = [str(paths[index]) for index in chosen.nonzero().flatten().tolist()]
            workers = worker_count(self.workers)
            return FolderSplit(names, targets[chosen], fit, pixels, seed, workers, self.exif)

        parts = split(~test, Pixels(mean, std, mirror)), split(test, Pixels(mean, std))
        train, held = (part.in_memory() if kept else part for part in parts)
        info = Images(self.channels, self.image_size, tuple(folders), mean, std)
        return Data(train=train, test=held, info=info, targets=targets[~test] if self.people else None)
