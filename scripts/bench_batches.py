"""Measure batches of texts or sounds: python scripts/bench_batches.py task=text|audio [KEY=VALUE ...].

Beside a Dataset and a collate function that make the same batches, of sounds with their log-mel bands. The
two sides take turns in one process; the medians of their ratios are printed, in CPU time.
"""

import argparse
from statistics import median

import torch

from bls_bench.bench.batches import Batches
from bls_bench.records.run import device_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="+", metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    bench = Batches(*args.overrides)
    print(
        f"{device_name('cpu')}, {torch.get_num_threads()} threads, torch {torch.__version__}; "
        f"{len(bench.data.train)} samples, batch {bench.size}, n = {args.repeats}"
    )
    bench.ratio()  # the first warms up
    ratios = [bench.ratio() for _ in range(args.repeats)]
    print(f"batches: {median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
