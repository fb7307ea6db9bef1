"""Any folder of images: train/ and test/ or val/, in each a folder per class."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset
from torchvision.transforms import v2

from bls_bench.data.augment import CropFlip
from bls_bench.data.base import Data, Dataset, first_of_each_class
from bls_bench.data.split import FolderSplit, Pixels
from bls_bench.errors import InputError

# Of ImageNet: what pretrained models expect, and close enough for other photographs.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALL = 64


@dataclass(frozen=True, kw_only=True)
class ImageFolder(Dataset):
    """A tree of image files, with CIFAR's augmentation up to 64 pixels and ImageNet's above.

    `in_memory` decodes every image once, at `image_size`, and keeps the pixels on the training
    device; without it images are decoded as they are needed. Where both are possible they give the
    same batches. Either way `workers` processes decode (0: none but this one).
    """

    name: str = "imagefolder"
    root: str
    image_size: int = 32
    in_memory: bool = True
    workers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.root:
            raise ValueError(f"root must be a folder that holds train/ and test/ or val/, got {self.root!r}")
        if self.image_size < 1:
            raise ValueError(f"image_size must be at least 1, got {self.image_size}")
        if self.workers < 0:
            raise ValueError(f"workers must be at least 0, got {self.workers}")
        if self.in_memory and self.image_size > SMALL:
            raise ValueError(
                f"in_memory must be false for images above {SMALL} pixels, which are cropped from the "
                f"file anew each time, got true with image_size={self.image_size}"
            )

    def load(self, seed: int) -> Data:
        train_folder, test_folder = _split_folders(Path(self.root).expanduser())
        classes, train_paths, train_targets = _scan(train_folder)
        test_classes, test_paths, test_targets = _scan(test_folder)
        if classes != test_classes:
            raise InputError(
                f"{train_folder} and {test_folder} must hold the same classes, "
                f"but only one of them has {_some(set(classes) ^ set(test_classes))}"
            )
        kept = first_of_each_class(train_targets, self.subset)
        train_paths, train_targets = [train_paths[i] for i in kept.tolist()], train_targets[kept]

        size = self.image_size
        if size <= SMALL:
            fit_train = fit_test = _resize(size, size)
            augment = CropFlip(padding=size // 8, reflect=True, flip=True)
        else:
            crop = [v2.RandomResizedCrop(size), v2.RandomHorizontalFlip(), v2.PILToTensor()]
            fit_train, fit_test, augment = v2.Compose(crop), _resize(round(size * 256 / 224), size), None

        train = FolderSplit(
            train_paths, train_targets, fit_train, Pixels(MEAN, STD, augment), seed, self.workers
        )
        test = FolderSplit(test_paths, test_targets, fit_test, Pixels(MEAN, STD), seed, self.workers)
        return Data(
            train=train.in_memory() if self.in_memory else train,
            test=test.in_memory() if self.in_memory else test,
            num_classes=len(classes),
            channels=3,
            image_size=size,
            classes=classes,
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
    try:
        classes, targets = find_classes(folder)
        files = make_dataset(folder, targets, IMG_EXTENSIONS)
    except OSError as error:
        raise InputError(f"dataset.root: {folder} must hold a folder of images per class: {error}") from error
    return classes, [path for path, _ in files], torch.tensor([target for _, target in files])


def _some(names: set[str]) -> str:
    """Name up to five."""
    first = ", ".join(sorted(names)[:5])
    return first if len(names) <= 5 else f"{first} and {len(names) - 5} more"
