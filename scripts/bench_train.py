"""Measure training against the loop that public example scripts write, and what pruning saves.

Every part runs in a process of its own, the parts in turn and every second time in reverse order. In a
part one epoch goes before the one that is measured. The plain loop keeps its images decoded, as
torchvision's CIFAR-10 does, and its worker processes from epoch to epoch.
"""

import argparse
import dataclasses
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torchvision
from hydra import compose, initialize_config_dir
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bls_bench.config import CONF_DIR, Config, load
from bls_bench.data import Data
from bls_bench.data.folder import MEAN, STD
from bls_bench.data.split import MemorySplit
from bls_bench.devices import make_fabric
from bls_bench.engine import Engine
from bls_bench.stopping import StopSignal
from bls_bench.tracking import Tracker

TEST_IMAGES = 512  # enough to run the evaluation, which is not what is measured
Numbers = dict[str, float]


def main() -> None:
    args = parse()
    if args.part:
        print(json.dumps(PARTS[args.part](args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.dataset_root is None:
            args.dataset_root = folder
            write_images(Path(folder), args.images)
        results: dict[str, list[Numbers]] = {part: [] for part in PARTS}
        for repeat in range(args.repeats):
            for part in list(PARTS)[:: 1 if repeat % 2 == 0 else -1]:
                print(f"repeat {repeat + 1} of {args.repeats}: {part}", file=sys.stderr)
                results[part].append(in_own_process(part, args))
    report(args, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", default="resnet20", help="an option of the group model")
    parser.add_argument(
        "--dataset-root", help="train/ and test/ of 32-pixel images in ten classes; generated if not given"
    )
    parser.add_argument("--images", type=int, default=1920, help="images of an epoch, over all classes")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", default="32", help="trainer.precision")
    parser.add_argument("--device", default="auto", help="trainer.device")
    parser.add_argument("--compile", default="none", help="trainer.compile, of the engine only")
    parser.add_argument("--pruner", default="infobatch", help="an option of the group pruner")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    return parser.parse_args()


def in_own_process(part: str, args: argparse.Namespace) -> Numbers:
    given = [f"--{name.replace('_', '-')}={value}" for name, value in vars(args).items() if name != "part"]
    command = [sys.executable, __file__, *given, f"--part={part}"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


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


def configure(args: argparse.Namespace, pruner: str = "none") -> tuple[Config, Data]:
    """Two epochs: one goes before, and one is measured. Cropped as in the plain loop."""
    overrides = [
        f"model={args.model}", f"pruner={pruner}", "dataset=imagefolder", f"dataset.root={args.dataset_root}",
        f"dataset.subset={args.images // 10}", "dataset.in_memory=true", "dataset.crop=zero", "logger=none",
        "trainer.epochs=2", f"trainer.batch_size={args.batch_size}", f"trainer.precision={args.precision}",
        f"trainer.device={args.device}", f"trainer.compile={args.compile}",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = load(compose("config", overrides))
    data = config.dataset.load(config.seed)
    test = data.test
    some = MemorySplit(test.images[:TEST_IMAGES], test.targets[:TEST_IMAGES], test.pixels, config.seed)
    return config, dataclasses.replace(data, test=some)


def engine_part(args: argparse.Namespace, pruner: str = "none") -> Numbers:
    """Train with this package."""
    config, data = configure(args, pruner)
    engine = Engine(config, data, make_fabric(config.trainer))
    engine.fit(None, Tracker(), StopSignal())
    epoch = engine.history[-1]
    return {
        "images": epoch["trained"],
        "pruned_percent": epoch["pruned_percent_epoch"],
        "peak_memory_mib": epoch["peak_memory_mib"] or 0,
        **{name: epoch[f"{name}_seconds"] for name in ("train", "data", "select")},
    }


class PilImages(Dataset):
    """Images as arrays, made PIL images and transformed one by one, as torchvision's CIFAR-10 does."""

    def __init__(self, split: MemorySplit) -> None:
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


def plain_loader(args: argparse.Namespace, data: Data, workers: int) -> DataLoader:
    return DataLoader(
        PilImages(data.train),
        batch_size=args.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def plain_part(args: argparse.Namespace, workers: int) -> Numbers:
    """Train with the public loop."""
    config, data = configure(args)
    loader = plain_loader(args, data, workers)
    device = make_fabric(config.trainer).device
    model = config.model.build(data.channels, data.image_size, data.num_classes).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    mixed = args.precision == "bf16-mixed"
    for _ in range(config.trainer.epochs):
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
    return {"images": len(data.train), "train": seconds, "data": waiting, "select": 0.0}


def engine_input(args: argparse.Namespace) -> Numbers:
    config, data = configure(args)
    device = make_fabric(config.trainer).device

    def epoch(number: int) -> Iterable:
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(number))
        return data.train.batches(order.split(args.batch_size), number, device)

    return timed_input(epoch, len(data.train))


def plain_input(args: argparse.Namespace) -> Numbers:
    _, data = configure(args)
    loader = plain_loader(args, data, workers=0)
    return timed_input(lambda number: loader, len(data.train))


def timed_input(epoch: Callable[[int], Iterable], images: int) -> Numbers:
    """Go through whole epochs of batches for two seconds at least, after a first one."""
    for _ in epoch(0):
        pass
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < 2:
        count += 1
        for inputs, _ in epoch(count):
            last = inputs
    last.flatten()[0].item()  # a device is done
    seconds = time.perf_counter() - started
    return {"images": count * images, "train": seconds, "data": seconds, "select": 0.0}


PARTS: dict[str, Callable[[argparse.Namespace], Numbers]] = {
    "plain, input alone": plain_input,
    "engine, input alone": engine_input,
    "plain, 0 workers": lambda args: plain_part(args, workers=0),
    "plain, 2 workers": lambda args: plain_part(args, workers=2),
    "engine": engine_part,
    "engine, pruned": lambda args: engine_part(args, args.pruner),
}


def report(args: argparse.Namespace, results: dict[str, list[Numbers]]) -> None:
    """Print medians; what is compared was run in the same repeat, where the machine differs least."""

    def seconds(run: Numbers) -> float:
        return run["train"] + run["select"]

    def spread(values: Iterable[float]) -> str:
        values = list(values)
        return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"

    cuda = args.device in ("auto", "cuda") and torch.cuda.is_available()
    name = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    print(
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}; {args.model}, {args.images} images, "
        f"batch {args.batch_size}, precision {args.precision}, compile {args.compile}, n = {args.repeats}\n"
    )
    print("| part | images/s | data | step | pruning |\n| --- | ---: | ---: | ---: | ---: |")
    for part, runs in results.items():
        rate = statistics.median(run["images"] / seconds(run) for run in runs)
        data, select = (
            statistics.median(run[key] / seconds(run) for run in runs) for key in ("data", "select")
        )
        print(f"| {part} | {rate:,.0f} | {data:.1%} | {1 - data - select:.1%} | {select:.2%} |")
    print()
    for part, other in (
        ("engine, input alone", "plain, input alone"),
        ("engine", "plain, 0 workers"),
        ("engine", "plain, 2 workers"),
    ):
        pairs = zip(results[part], results[other], strict=True)
        ratios = (a["images"] / seconds(a) * seconds(b) / b["images"] for a, b in pairs)
        print(f"{part} / {other}: {spread(ratios)}")
    pairs = list(zip(results["engine, pruned"], results["engine"], strict=True))
    pruned = statistics.median(run["pruned_percent"] for run, _ in pairs)
    saved = [100 * (1 - seconds(a) / seconds(b)) for a, b in pairs]
    print(f"{args.pruner}: {pruned:.1f}% pruned, saved % of the time: {spread(saved)}")
    if pruned:
        shares = (part / run["pruned_percent"] for part, (run, _) in zip(saved, pairs, strict=True))
        print(f"saved / pruned: {spread(shares)}")
    print(f"peak memory of the engine: {max(run['peak_memory_mib'] for run in results['engine']):,.0f} MiB")


if __name__ == "__main__":
    main()
