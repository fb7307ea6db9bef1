"""Any folder of images: train/ and test/ or val/, in each a folder per class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from bls_bench.data.base import Data, Images, check_side
from bls_bench.data.decoding import tell_depth
from bls_bench.data.files import FolderSplit, check_reading, worker_count
from bls_bench.data.split import Pixels
from bls_bench.data.trees import IMAGES, Tree
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import Lazy, torch
from bls_bench.system.memory import keep_in_memory
from bls_bench.tasks.classification.photographs import Photographs

if TYPE_CHECKING:
    from torch import Tensor
    from torchvision.transforms import v2
else:
    v2 = Lazy("torchvision.transforms.v2")


# Of ImageNet: what pretrained models expect, and close enough for other photographs.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALL = 64


@dataclass(frozen=True, kw_only=True)
class ImageFolder(Photographs):
    """A tree of image files, with CIFAR's augmentation up to 64 pixels and ImageNet's above.

    `in_memory=true` decodes every image once, at `image_size`, and keeps the pixels on the training
    device; with false images are decoded as they are needed; auto decides by size and free memory.
    Where both are possible they give the same batches. Either way `workers` processes decode (0: none
    but this one; auto: one a CPU core, 16 at most). exif: turn images as their orientation tag says;
    torchvision's ImageFolder does not.
    """

    name: str = "imagefolder"
    root: str = settings.folder()
    image_size: int = 32
    in_memory: str = settings.unkeyed("auto")
    workers: int | str = settings.unkeyed("auto")
    exif: bool = settings.added(False, neutral=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.root:
            raise ValueError(f"root must be a folder that holds train/ and test/ or val/, got {self.root!r}")
        check_side(self.image_size)
        object.__setattr__(self, "in_memory", check_reading(self.in_memory, self.workers))
        if self.image_size <= SMALL:
            return
        why = f"for images above {SMALL} pixels, which are cropped from the file anew each time"
        if self.in_memory == "true":
            raise ValueError(f"in_memory must be auto or false {why}, got true")
        if self.crop not in ("auto", "resized"):
            raise ValueError(f"crop must be auto or resized {why}, got {self.crop}")

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        train_folder, test_folder = _split_folders(Path(self.root).expanduser())
        classes, train_paths, train_targets = _scan(train_folder)
        test_classes, test_paths, test_targets = _scan(test_folder)
        _check_same((train_folder, classes), (test_folder, test_classes))
        tell_depth(train_paths + test_paths)
        chosen, train_targets = self.arranged(train_targets)
        train_paths = [train_paths[i] for i in chosen.tolist()]

        size = self.image_size
        if size <= SMALL:
            fit_train = fit_test = _resize(size, size)
            needed = (len(train_paths) + len(test_paths)) * 3 * size**2
            kept = keep_in_memory(self.in_memory, needed, device or torch.device("cpu"))
        else:
            crop = [v2.RandomResizedCrop(size), v2.RandomHorizontalFlip(), v2.PILToTensor()]
            fit_test, kept = _resize(round(size * 256 / 224), size), False
            fit_train = v2.Compose(crop) if self.augment else fit_test

        pixels, workers = self.augmented(MEAN, STD, size, cropped=size > SMALL), worker_count(self.workers)
        train = FolderSplit(train_paths, train_targets, fit_train, pixels, seed, workers, self.exif)
        test = FolderSplit(test_paths, test_targets, fit_test, Pixels(MEAN, STD), seed, workers, self.exif)
        return Data(
            train=train.in_memory() if kept else train,
            test=test.in_memory() if kept else test,
            info=Images(3, size, tuple(classes), MEAN, STD),
            targets=train_targets,
        )


def _resize(shorter_side: int, size: int) -> Callable[[Image.Image], Tensor]:
    return v2.Compose([v2.Resize(shorter_side), v2.CenterCrop(size), v2.PILToTensor()])


def _split_folders(root: Path) -> tuple[Path, Path]:
    """Return train/ and test/, or val/ where there is no test/."""
    if not root.is_dir():
        raise InputError(f"dataset.root={root} is not a folder: it must hold train/ and test/ or val/")
    train, test, val = (root / name for name in ("train", "test", "val"))
    if not train.is_dir():
        raise InputError(f"dataset.root={root} has no folder train/")
    if not test.is_dir() and not val.is_dir():
        raise InputError(f"dataset.root={root} has neither a folder test/ nor val/")
    return train, test if test.is_dir() else val


def _scan(folder: Path) -> tuple[list[str], list[str], Tensor]:
    """Return the sorted class names, the image files and their (N,) int64 targets."""
    tree = Tree(folder)
    classes = tree.classes()
    tree.tell()
    if not classes:
        raise InputError(f"dataset.root: {folder} must hold a folder of images for each class, it has none")
    empty = {name for name, paths in classes.items() if not paths}
    if empty:
        raise InputError(
            f"dataset.root: {folder} has no valid file for {_some(empty)}, images end in {', '.join(IMAGES)}"
        )
    targets = [label for label, paths in enumerate(classes.values()) for _ in paths]
    return list(classes), [path for paths in classes.values() for path in paths], torch.tensor(targets)


def _check_same(classes: tuple[Path, list[str]], others: tuple[Path, list[str]]) -> None:
    """Raise InputError where two folders hold other classes."""
    (folder, names), (other_folder, other_names) = classes, others
    alone, other_alone = set(names) - set(other_names), set(other_names) - set(names)
    if not alone and not other_alone:
        return
    by_case = {name.casefold(): name for name in other_alone}
    cases = [f"{name} and {by_case[name.casefold()]}" for name in sorted(alone) if name.casefold() in by_case]
    why = (
        f"letter case differs: {', '.join(cases[:5])}"
        if cases
        else f"only one of them has {_some(alone | other_alone)}"
    )
    raise InputError(f"{folder} and {other_folder} must hold the same classes, but {why}")


def _some(names: set[str]) -> str:
    """Name up to five."""
    first = ", ".join(sorted(names)[:5])
    return first if len(names) <= 5 else f"{first} and {len(names) - 5} more"
