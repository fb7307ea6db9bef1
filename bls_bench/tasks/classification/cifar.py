"""CIFAR-10 and CIFAR-100, downloaded by torchvision when they are not there yet."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from bls_bench.data.base import Data, Images
from bls_bench.data.split import MemorySplit, Pixels
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import Lazy, torch
from bls_bench.system.settings import folder
from bls_bench.tasks.classification.photographs import Photographs

if TYPE_CHECKING:
    from torchvision import datasets
    from torchvision.datasets import utils
else:
    datasets, utils = Lazy("torchvision.datasets"), Lazy("torchvision.datasets.utils")

# Of each data set's own training images.
STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


@dataclass(frozen=True, kw_only=True)
class CIFAR(Photographs):
    """`name` is cifar10 or cifar100; `root` is the folder that holds, or will hold, torchvision's files."""

    root: str = folder("data")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.name not in STATISTICS:
            raise ValueError(f"name must be one of {', '.join(STATISTICS)}, got {self.name!r}")
        if not self.root:
            raise ValueError(f"root must be a folder, got {self.root!r}")

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        source = datasets.CIFAR10 if self.name == "cifar10" else datasets.CIFAR100
        root = Path(self.root).expanduser()
        train, test = _open(source, root)
        images = [torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous() for part in (train, test)]
        kept, labels = self.arranged(torch.tensor(train.targets))
        mean, std = STATISTICS[self.name]
        augmented = self.augmented(mean, std, 32, cropped=False)
        return Data(
            train=MemorySplit(images[0][kept], labels, augmented, seed),
            test=MemorySplit(images[1], torch.tensor(test.targets), Pixels(mean, std), seed),
            info=Images(3, 32, tuple(train.classes), mean, std),
            targets=labels,
        )


def _open(source: type[datasets.CIFAR10], root: Path) -> list[datasets.CIFAR10]:
    """Return the training and the test part, downloaded first if nothing of them is in `root`."""

    def parts() -> list[datasets.CIFAR10]:
        return [source(root, train=train) for train in (True, False)]

    try:
        return parts()
    except RuntimeError:
        pass  # Missing, broken, or just being unpacked by another run that started with this one.
    unpacked, archive = root / source.base_folder, root / source.filename
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{source.base_folder}.lock"):
            if not unpacked.is_dir():
                _fetch(source, root, archive)
            return parts()
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        broken = next((path for path in (unpacked, archive) if path.exists()), None)
        if broken is not None:
            raise InputError(
                f"{broken} is incomplete or damaged: delete it to download it again, or give another "
                "folder as dataset.root="
            ) from error
        raise InputError(
            f"{source.__name__} is not in dataset.root={root} and cannot be downloaded ({error}): give the "
            f"folder that holds {source.base_folder} as dataset.root=, or use dataset=digits"
        ) from error


def _fetch(source: type[datasets.CIFAR10], root: Path, archive: Path) -> None:
    """Unpack the archive in `root`; without one, download it first. Never replaces an archive."""
    if archive.exists():
        if not utils.check_integrity(archive, source.tgz_md5):
            raise RuntimeError("wrong checksum")
        source(root, download=True)
        return
    try:
        source(root, download=True)
    except BaseException:
        archive.unlink(missing_ok=True)  # Cut short, it would look like the user's own broken file.
        raise
