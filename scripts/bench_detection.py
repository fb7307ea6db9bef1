"""Measure detection beside torchvision's references: python scripts/bench_detection.py [KEY=VALUE ...].

KEY=VALUE: overrides, such as dataset=pennfudan dataset.root=DIR dataset.in_memory=true. The two sides take
turns in one process; the medians of their ratios are printed, in CPU time where there is no GPU.
"""

import argparse
from collections.abc import Sequence
from statistics import median

import torch
import torchvision

from bls_bench.bench.detection import DetectionBench
from bls_bench.records.run import device_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    bench = DetectionBench(tuple(args.overrides), epochs=args.repeats + 1)
    device = bench.engine.fabric.device.type
    trainer, samples = bench.engine.config.trainer, len(bench.engine.data.train)
    print(
        f"{device_name(device)}, {torch.get_num_threads()} threads, torch {torch.__version__}, torchvision "
        f"{torchvision.__version__}; {samples} images, batch {trainer.batch_size}, n = {args.repeats}"
    )
    bench.input_ratio()  # the first of each warms up
    bench.epoch_ratios()
    show("batches", [bench.input_ratio() for _ in range(args.repeats)])
    epochs, steps = zip(*(bench.epoch_ratios() for _ in range(args.repeats)), strict=True)
    show("epochs", epochs)
    show("epochs beside plain steps without their batches", steps)


def show(name: str, ratios: Sequence[float]) -> None:
    print(f"{name}: {median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
