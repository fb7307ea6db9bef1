"""Training epochs timed: this engine, the loop that public example scripts write, and what pruning saves.

In each part one epoch goes before those that are measured. The plain loop keeps its images decoded, as
torchvision's CIFAR-10 does, and its worker processes from epoch to epoch.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bls_bench.config.compose import composed
from bls_bench.config.run import Config, load
from bls_bench.data.base import Data
from bls_bench.data.split import MemorySplit
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.engine.scoring import prepare
from bls_bench.system.stopping import StopSignal
from bls_bench.tasks.classification.folder import MEAN, STD

TEST_IMAGES = 512  # enough to run the evaluation, which is not what is measured
INPUT_SECONDS = 2.0


@dataclass(frozen=True)
class Setting:
    """What is trained: 32-pixel images of ten classes in train/ and test/; options as in conf/."""

    dataset_root: str
    model: str = "resnet20"
    images: int = 1920
    batch_size: int = 128
    precision: str = "32"
    device: str = "auto"
    compile: str = "none"

    def configure(self, epochs: int = 2, pruner: str = "none") -> tuple[Config, Data]:
        """pruner: an option of the group, and settings after a space. Cropped as in the plain loop."""
        overrides = [
            f"model={self.model}", *f"pruner={pruner}".split(), "dataset=imagefolder",
            f"dataset.root={self.dataset_root}", f"dataset.subset={self.images // 10}",
            "dataset.in_memory=true", "dataset.crop=zero", "logger=none", f"trainer.epochs={epochs}",
            f"trainer.batch_size={self.batch_size}", f"trainer.precision={self.precision}",
            f"trainer.device={self.device}", f"trainer.compile={self.compile}",
        ]  # fmt: skip
        config = load(composed(overrides))
        data = config.dataset.load(config.seed)
        test: Any = data.test
        some = MemorySplit(test.images[:TEST_IMAGES], test.targets[:TEST_IMAGES], test.pixels, config.seed)
        return config, dataclasses.replace(data, test=some)


@dataclass(frozen=True)
class Timing:
    """One epoch or more: images trained on; seconds in all, and of these for data and for pruning."""

    images: int
    seconds: float
    data: float
    select: float = 0.0
    peak_memory_mib: float | None = None


def write_images(root: Path, count: int) -> None:
    """Write `count` smooth random training images of 32 pixels, in ten classes."""
    generator = torch.Generator().manual_seed(0)
    for part, number in (("train", count), ("test", TEST_IMAGES)):
        for index in range(number):
            folder = root / part / f"class{index % 10}"
            folder.mkdir(parents=True, exist_ok=True)
            coarse = torch.rand(1, 3, 8, 8, generator=generator) * 255
            pixels = nn.functional.interpolate(coarse, size=32, mode="bilinear")[0].byte().permute(1, 2, 0)
            Image.fromarray(pixels.numpy()).save(folder / f"{index}.jpg", quality=95)


def engine(setting: Setting) -> list[Timing]:
    """One epoch of this package, on all samples."""
    return in_turn(setting, ["none"], epochs=1)["none"]


def in_turn(setting: Setting, pruners: list[str], epochs: int) -> dict[str, list[Timing]]:
    """Train by each pruner, an epoch of each in turn, every second time in reverse order.

    A machine whose speed drifts then treats them alike. The runs are planned long enough for none to anneal.
    """
    runs = {}
    for pruner in pruners:
        config, data = setting.configure(epochs=2 * (epochs + 1), pruner=pruner)
        fabric = make_fabric(config.trainer)
        prepare(config, data, fabric)
        runs[pruner] = Engine(config, data, fabric)
    timings: dict[str, list[Timing]] = {pruner: [] for pruner in pruners}
    for number in range(epochs + 1):
        for pruner in pruners[:: 1 if number % 2 else -1]:
            metrics = runs[pruner].epoch(None, StopSignal())
            if number:
                timings[pruner].append(
                    Timing(
                        metrics["trained"],
                        metrics["train_seconds"] + metrics["select_seconds"],
                        metrics["data_seconds"],
                        metrics["select_seconds"],
                        metrics["peak_memory_mib"],
                    )
                )
    return timings


class PilImages(Dataset):
    """Images as arrays, made PIL images and transformed one by one, as torchvision's CIFAR-10 does."""

    def __init__(self, split: Any) -> None:
        self.arrays = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.targets = split.targets.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.targets[index]


def plain_loader(setting: Setting, data: Data, workers: int) -> DataLoader:
    return DataLoader(
        PilImages(data.train),
        batch_size=setting.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def plain(setting: Setting, workers: int) -> list[Timing]:
    """One epoch of the public loop."""
    config, data = setting.configure()
    loader = plain_loader(setting, data, workers)
    device = make_fabric(config.trainer).device
    model = config.model.build(data.info).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    mixed = setting.precision == "bf16-mixed"
    for _ in range(2):
        model.train()
        total = waiting = 0.0
        waited = started = time.perf_counter()
        for images, targets in loader:
            waiting += time.perf_counter() - waited
            images, targets = images.to(device), targets.to(device)
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                loss = criterion(model(images), targets)
            loss.backward()
            optimizer.step()
            total += loss.item()
            waited = time.perf_counter()
        seconds = time.perf_counter() - started
    return [Timing(len(data.train), seconds, waiting)]


def engine_input(setting: Setting) -> list[Timing]:
    config, data = setting.configure()
    device = make_fabric(config.trainer).device

    def epoch(number: int) -> Iterable:
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(number))
        return data.train.batches(order.split(setting.batch_size), number, device)

    return _input(epoch, len(data.train))


def plain_input(setting: Setting) -> list[Timing]:
    _, data = setting.configure()
    loader = plain_loader(setting, data, workers=0)
    return _input(lambda number: loader, len(data.train))


def _input(epoch: Callable[[int], Iterable], images: int) -> list[Timing]:
    """Go through whole epochs of batches for INPUT_SECONDS at least, after a first one."""
    for _ in epoch(0):
        pass
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < INPUT_SECONDS:
        count += 1
        for inputs, _ in epoch(count):
            last = inputs
    last.flatten()[0].item()  # a device is done
    seconds = time.perf_counter() - started
    return [Timing(count * images, seconds, seconds)]
