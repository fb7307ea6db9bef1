"""scikit-learn's handwritten digits: 1,797 real 8x8 images that come with the package."""

from __future__ import annotations

from dataclasses import dataclass

from bls_bench.data.augment import CropFlip
from bls_bench.data.base import ClassDataset, Data, Images, first_of_each_class
from bls_bench.data.split import MemorySplit, Pixels
from bls_bench.system.lazy import torch

MEAN, STD = (0.305,), (0.376,)


@dataclass(frozen=True, kw_only=True)
class Digits(ClassDataset):
    """A fifth of every class, the same in every run, is the test split."""

    name: str = "digits"

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        # Imported here: it takes as long as torch.
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        digits = load_digits()
        images = torch.from_numpy(digits.images * (255 / 16)).round().to(torch.uint8)[:, None]
        targets = torch.from_numpy(digits.target).long()
        train, test = train_test_split(
            torch.arange(len(targets)), test_size=0.2, stratify=targets, random_state=0
        )
        train = train.sort().values
        train = train[first_of_each_class(targets[train], self.subset)]
        crop = CropFlip(padding=1, reflect=False, flip=False) if self.augment else None
        return Data(
            train=MemorySplit(images[train], targets[train], Pixels(MEAN, STD, crop), seed),
            test=MemorySplit(images[test], targets[test], Pixels(MEAN, STD), seed),
            info=Images(1, 8, tuple(str(name) for name in digits.target_names), MEAN, STD),
            targets=targets[train],
        )
