"""scikit-learn's handwritten digits: 1,797 real 8x8 images that come with the package."""

from __future__ import annotations

from dataclasses import dataclass

from bls_bench.data.augment import CropFlip
from bls_bench.data.base import Data, Images
from bls_bench.data.classes import ClassDataset
from bls_bench.data.split import MemorySplit, Pixels
from bls_bench.system.lazy import torch
from bls_bench.system.settings import added
from bls_bench.system.streams import stream

MEAN, STD = (0.305,), (0.376,)


@dataclass(frozen=True, kw_only=True)
class Digits(ClassDataset):
    """A fifth of every class, the same in every run, is the test split.

    hard_cluster: the share of the training images that stand on their side, a quarter turn, which makes a
    small group of samples that are hard; the test split then has every image both ways.
    """

    name: str = "digits"
    hard_cluster: float = added(0.0, neutral=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.hard_cluster < 1:
            raise ValueError(f"hard_cluster must be in [0, 1), got {self.hard_cluster}")

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
        kept, labels = self.arranged(targets[train])
        shown, tested, wanted = images[train[kept]], images[test], targets[test]
        if self.hard_cluster:
            drawn = torch.randperm(len(shown), generator=stream(0, "hard_cluster"))
            drawn = drawn[: round(self.hard_cluster * len(shown))]
            shown[drawn] = shown[drawn].rot90(dims=(2, 3))
            tested, wanted = torch.cat([tested, tested.rot90(dims=(2, 3))]), wanted.repeat(2)
        crop = CropFlip(padding=1, reflect=False, flip=False) if self.augment else None
        return Data(
            train=MemorySplit(shown, labels, Pixels(MEAN, STD, crop), seed),
            test=MemorySplit(tested, wanted, Pixels(MEAN, STD), seed),
            info=Images(1, 8, tuple(str(name) for name in digits.target_names), MEAN, STD),
            targets=labels,
        )
