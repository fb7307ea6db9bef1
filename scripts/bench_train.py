"""Measure training against the loop that public example scripts write, and what a pruner saves of its time.

Every part runs in a process of its own, in turn and every second time in reverse order; what is saved in
one more, an epoch of all samples and a pruned one in turn.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torchvision
from scipy.stats import bootstrap

from bls_bench.bench.throughput import (
    Setting,
    Timing,
    engine,
    engine_input,
    in_turn,
    plain,
    plain_input,
    write_images,
)
from bls_bench.records.run import device_name

PARTS: dict[str, Callable[[Setting], list[Timing]]] = {
    "plain, input alone": plain_input,
    "engine, input alone": engine_input,
    "plain, 0 workers": lambda setting: plain(setting, workers=0),
    "plain, 2 workers": lambda setting: plain(setting, workers=2),
    "engine": engine,
}
DEFAULTS = {field.name: field.default for field in dataclasses.fields(Setting)}


def main() -> None:
    args = parse()
    with tempfile.TemporaryDirectory() as folder:
        if args.dataset_root is None:
            args.dataset_root = folder
            write_images(Path(folder), args.images)
        setting = Setting(**{name: getattr(args, name) for name in DEFAULTS})
        if args.part:
            print(json.dumps([dataclasses.asdict(timing) for timing in PARTS[args.part](setting)]))
            return
        print(machine(setting))
        results: dict[str, list[Timing]] = {part: [] for part in PARTS}
        for repeat in range(args.repeats):
            for part in list(PARTS)[:: 1 if repeat % 2 == 0 else -1]:
                print(f"repeat {repeat + 1} of {args.repeats}: {part}", file=sys.stderr)
                results[part] += in_own_process(part, setting)
        if args.repeats:
            report(results)
        if args.pairs:
            print(f"{args.pairs} pairs of epochs, all samples and {args.pruner}", file=sys.stderr)
            report_saving(args.pruner, in_turn(setting, ["none", args.pruner], args.pairs))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULTS["model"], help="an option of the group model")
    parser.add_argument(
        "--dataset-root", help="train/ and test/ of 32-pixel images in ten classes; generated if not given"
    )
    parser.add_argument("--images", type=int, default=DEFAULTS["images"], help="images of an epoch, in all")
    parser.add_argument("--batch-size", type=int, default=DEFAULTS["batch_size"])
    parser.add_argument("--precision", default=DEFAULTS["precision"], help="trainer.precision")
    parser.add_argument("--device", default=DEFAULTS["device"], help="trainer.device")
    parser.add_argument("--compile", default=DEFAULTS["compile"], help="trainer.compile, of the engine only")
    parser.add_argument("--repeats", type=int, default=3, help="of every part; 0 for none")
    parser.add_argument("--pruner", default="infobatch", help="an option, and settings after a space")
    parser.add_argument("--pairs", type=int, default=5, help="epochs with and without pruner; 0 for none")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    return parser.parse_args()


def in_own_process(part: str, setting: Setting) -> list[Timing]:
    given = [f"--{name.replace('_', '-')}={value}" for name, value in dataclasses.asdict(setting).items()]
    command = [sys.executable, __file__, *given, f"--part={part}"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [Timing(**timing) for timing in json.loads(output.splitlines()[-1])]


def machine(setting: Setting) -> str:
    cuda = setting.device in ("auto", "cuda") and torch.cuda.is_available()
    return (
        f"{device_name('cuda' if cuda else 'cpu')}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, torchvision {torchvision.__version__}; {setting.model}, "
        f"{setting.images} images, batch {setting.batch_size}, precision {setting.precision}, "
        f"compile {setting.compile}"
    )


def report(results: dict[str, list[Timing]]) -> None:
    """Print medians; what is compared was run in the same repeat, where the machine differs least."""

    print("\n| part | n | images/s | data | step | pruning |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for part, runs in results.items():
        rate = median(run.images / run.seconds for run in runs)
        data, select = (median(getattr(run, key) / run.seconds for run in runs) for key in ("data", "select"))
        print(f"| {part} | {len(runs)} | {rate:,.0f} | {data:.1%} | {1 - data - select:.1%} | {select:.2%} |")
    print()
    for part, other in (
        ("engine, input alone", "plain, input alone"),
        ("engine", "plain, 0 workers"),
        ("engine", "plain, 2 workers"),
    ):
        pairs = zip(results[part], results[other], strict=True)
        ratios = [a.images / a.seconds * b.seconds / b.images for a, b in pairs]
        print(f"{part} / {other}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    peaks = [run.peak_memory_mib for run in results["engine"] if run.peak_memory_mib]
    print(f"peak memory of the engine: {max(peaks):,.0f} MiB" if peaks else "peak memory: not known here")


def report_saving(pruner: str, timings: dict[str, list[Timing]]) -> None:
    """Print what share of the time is saved beside the share pruned, with a 95% bootstrap interval."""
    full, pruned = (
        np.array([[run.images, run.seconds] for run in timings[name]]).T for name in ("none", pruner)
    )

    def saved(*arrays: np.ndarray) -> float:
        """Of images, then seconds, in sum over epochs: 1 - pruned / full, seconds by images."""
        full_images, full_seconds, images, seconds = (array.sum() for array in arrays)
        return (1 - seconds / full_seconds) / (1 - images / full_images)

    columns = (*full, *pruned)
    left_out, time = (1 - pruned[i].sum() / full[i].sum() for i in (0, 1))
    print(
        f"\n{pruner}, {len(full[0])} pairs of epochs: {left_out:.1%} pruned, "
        f"{time:.1%} of the time saved ({full[1].sum():.1f} s, {pruned[1].sum():.1f} s)"
    )
    if left_out:
        text = f"saved / pruned: {saved(*columns):.3f}"
        if len(full[0]) > 1:
            low, high = bootstrap(columns, saved, paired=True, vectorized=False, rng=0).confidence_interval
            text += f", 95% interval {low:.3f} to {high:.3f}"
        print(text)


if __name__ == "__main__":
    main()
