"""Measure training against the loop that public example scripts write, and what pruning saves.

Every part runs in a process of its own, in turn, `--repeats` times; figures are medians. The plain loop
keeps its images decoded, as torchvision's CIFAR-10 does, and its worker processes from epoch to epoch.
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
from pathlib import Path
from typing import Any

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
PLAIN = {"plain, 0 workers": 0, "plain, 2 workers": 2}


def main() -> None:
    args = parse()
    if args.part:
        print(json.dumps(PARTS[args.part](args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.dataset_root is None:
            args.dataset_root = folder
            write_images(Path(folder), args.images)
        order = list(PARTS)
        results: dict[str, list[dict[str, float]]] = {part: [] for part in order}
        for repeat in range(args.repeats):
            for part in order if repeat % 2 == 0 else order[::-1]:
                print(f"repeat {repeat + 1}/{args.repeats}: {part}", file=sys.stderr)
                results[part].append(in_own_process(part, args))
    report(args, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="resnet20", help="an option of the group model")
    parser.add_argument("--dataset-root", help="train/ and test/ of 32-pixel images; made up if not given")
    parser.add_argument("--images", type=int, default=2560, help="images of an epoch, over ten classes")
    parser.add_argument("--epochs", type=int, default=1, help="measured epochs; one more comes before them")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", default="32", choices=["32", "tf32", "bf16-mixed"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", default="none", help="trainer.compile")
    parser.add_argument("--pruner", default="bls_infobatch", help="an option of the group pruner")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    return parser.parse_args()


def in_own_process(part: str, args: argparse.Namespace) -> dict[str, float]:
    given = [f"--{name.replace('_', '-')}={value}" for name, value in vars(args).items() if name != "part"]
    command = [sys.executable, __file__, *given, f"--part={part}"]
    return json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    )


def write_images(root: Path, count: int) -> None:
    """Write `count` training images of the size of CIFAR's, in ten classes."""
    generator = torch.Generator().manual_seed(0)
    for part, number in (("train", count), ("test", TEST_IMAGES)):
        for index in range(number):
            folder = root / part / f"class{index % 10}"
            folder.mkdir(parents=True, exist_ok=True)
            coarse = torch.rand(1, 3, 8, 8, generator=generator) * 255
            pixels = nn.functional.interpolate(coarse, size=32, mode="bilinear")[0].byte().permute(1, 2, 0)
            Image.fromarray(pixels.numpy()).save(folder / f"{index}.jpg", quality=95)


def configure(args: argparse.Namespace, pruner: str) -> tuple[Config, Data]:
    overrides = [
        f"model={args.model}", f"pruner={pruner}", "dataset=imagefolder", f"dataset.root={args.dataset_root}",
        f"dataset.subset={args.images // 10}", "dataset.in_memory=true", f"trainer.epochs={args.epochs + 1}",
        f"trainer.batch_size={args.batch_size}", f"trainer.precision={args.precision}",
        f"trainer.device={args.device}", f"trainer.compile={args.compile}", "logger=none",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = load(compose("config", overrides))
    data = config.dataset.load(config.seed)
    some = MemorySplit(data.test.images[:TEST_IMAGES], data.test.targets[:TEST_IMAGES], data.test.pixels, 0)
    return config, dataclasses.replace(data, test=some)


def engine_part(args: argparse.Namespace, pruner: str = "none") -> dict[str, float]:
    """Train with this package; seconds of the measured epochs together."""
    config, data = configure(args, pruner)
    engine = Engine(config, data, make_fabric(config.trainer))
    engine.fit(None, Tracker(), StopSignal())
    epochs = engine.history[1:]
    seconds = {
        part: sum(epoch[f"{part}_seconds"] for epoch in epochs) for part in ("train", "data", "select")
    }
    kept = sum(epoch["kept"] for epoch in epochs)
    return seconds | {
        "images": kept,
        "pruned_percent": 100 * (1 - kept / (args.epochs * len(data.train))),
        "peak_memory_mib": epochs[-1]["peak_memory_mib"] or 0,
    }


class PilImages(Dataset):
    """Images as arrays, made PIL images and transformed one by one, as torchvision's CIFAR-10 does."""

    def __init__(self, split: MemorySplit) -> None:
        self.arrays = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.targets = split.targets.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.targets[index]


def plain_loader(args: argparse.Namespace, workers: int) -> tuple[Config, DataLoader]:
    config, data = configure(args, "none")
    loader = DataLoader(
        PilImages(data.train),
        batch_size=args.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
    return config, loader


def plain_part(args: argparse.Namespace, workers: int) -> dict[str, float]:
    """The public loop; the last epochs are measured."""
    config, loader = plain_loader(args, workers)
    device = make_fabric(config.trainer).device
    model = config.model.build(3, 32, 10).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=config.optimizer.lr, momentum=0.9, weight_decay=5e-4)
    mixed = args.precision == "bf16-mixed"
    seconds = dict.fromkeys(("train", "data", "select"), 0.0)
    for epoch in range(args.epochs + 1):
        if epoch == 1:
            seconds = dict.fromkeys(seconds, 0.0)
        model.train()
        total = 0.0
        waited = started = time.perf_counter()
        for images, targets in loader:
            seconds["data"] += time.perf_counter() - waited
            images, targets = images.to(device), targets.to(device)
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                loss = criterion(model(images), targets)
            loss.backward()
            optimizer.step()
            total += loss.item()
            waited = time.perf_counter()
        seconds["train"] += time.perf_counter() - started
    return seconds | {"images": args.epochs * len(loader.dataset)}


def plain_input(args: argparse.Namespace) -> dict[str, float]:
    _, loader = plain_loader(args, workers=0)
    return timed_input(lambda epoch: loader, len(loader.dataset))


def engine_input(args: argparse.Namespace) -> dict[str, float]:
    config, data = configure(args, "none")
    device = make_fabric(config.trainer).device

    def batches(epoch: int) -> Any:
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(epoch))
        return data.train.batches(order.split(args.batch_size), epoch, device)

    return timed_input(batches, len(data.train))


def timed_input(batches: Any, images: int) -> dict[str, float]:
    """Go through whole epochs of batches for two seconds at least, after a first one."""
    for _ in batches(0):
        pass
    epochs, started = 0, time.perf_counter()
    while time.perf_counter() - started < 2:
        epochs += 1
        for inputs, _ in batches(epochs):
            last = inputs
    last.flatten()[0].item()  # a device is done
    seconds = time.perf_counter() - started
    return {"train": seconds, "data": seconds, "select": 0.0, "images": epochs * images}


PARTS = {
    "plain input": plain_input,
    "engine input": engine_input,
    **{name: (lambda args, workers=workers: plain_part(args, workers)) for name, workers in PLAIN.items()},
    "engine": engine_part,
    "engine, pruned": lambda args: engine_part(args, args.pruner),
}


def report(args: argparse.Namespace, results: dict[str, list[dict[str, float]]]) -> None:
    def rate(run: dict[str, float]) -> float:
        return run["images"] / (run["train"] + run["select"])

    def ratio(part: str, other: str) -> str:
        """Runs of one repeat are compared with each other: the machine's mood is nearest there."""
        ratios = [rate(a) / rate(b) for a, b in zip(results[part], results[other], strict=True)]
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    cuda = args.device in ("auto", "cuda") and torch.cuda.is_available()
    name = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    print(
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}; {args.model}, {args.images} images, "
        f"batch {args.batch_size}, precision {args.precision}, compile {args.compile}, n = {args.repeats}\n"
    )
    print("| part | images/s | data | step | pruning |\n| --- | ---: | ---: | ---: | ---: |")
    for part, runs in results.items():
        whole = [run["train"] + run["select"] for run in runs]
        data, select = (
            statistics.median(run[name] / total for run, total in zip(runs, whole, strict=True))
            for name in ("data", "select")
        )
        rates = statistics.median(map(rate, runs))
        print(f"| {part} | {rates:,.0f} | {data:.1%} | {1 - data - select:.1%} | {select:.2%} |")
    print(f"\ninput path, engine / plain: {ratio('engine input', 'plain input')}")
    for name in PLAIN:
        print(f"training, engine / {name}: {ratio('engine', name)}")
    pairs = zip(results["engine, pruned"], results["engine"], strict=True)
    saved = [100 * (1 - (a["train"] + a["select"]) / (b["train"] + b["select"])) for a, b in pairs]
    pruned = [run["pruned_percent"] for run in results["engine, pruned"]]
    shares = [part / whole for part, whole in zip(saved, pruned, strict=True) if whole]
    print(
        f"{args.pruner}: {statistics.median(pruned):.1f}% pruned saves {statistics.median(saved):.1f}% of "
        f"the time, {statistics.median(shares) if shares else 0:.2f} of it"
    )
    print(f"peak memory: {max(run['peak_memory_mib'] for run in results['engine']):,.0f} MiB")


if __name__ == "__main__":
    main()
