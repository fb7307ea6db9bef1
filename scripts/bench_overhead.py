"""Measure what pruning costs an epoch besides training, beside torch's own sampler.

For each pruner and scorer one epoch's bookkeeping is timed (begin_epoch, every record, end_epoch) on CPU
losses that are there already, beside drawing all N samples in batches from torch's RandomSampler and
BatchSampler. The two take turns, so that a busy machine slows both; the best of each counts. Rows named
"three lines" are the same through the library: a handler's sampler in torch's BatchSampler, and update.
Memory is what the state and three epochs add to a fresh process at the peak. Prints a Markdown table.
`--samples 100000000` does the selection alone.

`--update` measures what a step of a training loop takes instead: `update`, and what bls_bench.DataLoader
takes besides torch's own loader, in microseconds of CPU time of one thread (medians over epochs).
"""

import argparse
import ctypes
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path

import torch
from torch.utils.data import BatchSampler, RandomSampler
from tqdm import tqdm

from bls_bench.bench.overhead import BATCH_SIZE, EPOCHS, Bookkeeping, batches_of, best_of, some_losses
from bls_bench.bench.update import measure_update
from bls_bench.pruning.library.handler import Handler
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.seta import SeTaPruner
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.bls_centered import BLSCentered
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.scorers.random import RandomScore
from bls_bench.pruning.scorers.residual import ResidualScore
from bls_bench.pruning.state import PruningState
from bls_bench.records.run import device_name

SELECTION_ALONE = 50_000_000  # samples from which on only the selection is measured

PRUNERS: dict[str, Callable[[], Pruner]] = {
    "none": NoPruning,
    "random": RandomPruner,
    "InfoBatch": InfoBatchPruner,
    "InfoBatch quantile": lambda: InfoBatchPruner(variant="quantile"),
    "SeTa": SeTaPruner,
    "RePB": RePBPruner,
}
SCORERS: dict[str, Callable[[], Scorer]] = {
    "per sample": PerSampleLoss,
    "BLS": BatchLossScore,
    "BLS bias corrected": lambda: BatchLossScore(init="bias_corrected"),
    "BLS centred": BLSCentered,
    "residual": ResidualScore,
    "random": RandomScore,
}


def torch_epoch(num_samples: int) -> None:
    """Draw one epoch of batches as torch's DataLoader does."""
    for _ in BatchSampler(RandomSampler(range(num_samples)), BATCH_SIZE, drop_last=False):
        pass


class ThreeLines(Bookkeeping):
    """The same through the library: a handler's sampler in torch's BatchSampler, and update."""

    def __init__(self, pruner: Pruner, scorer: Scorer, losses: torch.Tensor) -> None:
        self.handler = Handler(range(len(losses)), EPOCHS, pruner, scorer, seed=0)
        self.given = batches_of(losses, scorer)

    def epoch(self) -> float:
        handler = self.handler
        started = time.perf_counter()
        batches = BatchSampler(handler.sampler, BATCH_SIZE, drop_last=False)
        for indices, loss in zip(batches, cycle(self.given), strict=False):
            handler.__getitems__(indices)
            handler.update(loss if loss.ndim == 0 or len(indices) == BATCH_SIZE else loss[: len(indices)])
        return time.perf_counter() - started


def update_rows(repeats: int) -> list[str]:
    """Return the rows of the table of `update`: microseconds a step by batch size."""
    rows = [
        "| pruner | scorer | batch | update, us a step | loader besides torch's, us a batch |",
        "|---|---|---|---|---|",
    ]
    cases = [(p, s, b) for p in ("InfoBatch", "SeTa") for s in ("per sample", "BLS") for b in (16, 64, 128)]
    for pruner, scorer, batch_size in tqdm(cases, desc="update"):
        update, load = measure_update(PRUNERS[pruner], SCORERS[scorer], batch_size, repeats)
        rows.append(f"| {pruner} | {scorer} | {batch_size} | {update:.1f} | {load:.1f} |")
    return rows


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def process_memory(field: str) -> int:
    """Return VmRSS or VmHWM (the peak) of this process in bytes, from /proc."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def peak_bytes(kind: type[Bookkeeping], pruner: str, scorer: str, num_samples: int) -> int:
    """Return what a state and three of its epochs add to a fresh process at the peak.

    glibc is told to give back what is freed from 64 KiB on: what an allocator keeps differs from run to run.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, 1 << 16)  # M_MMAP_THRESHOLD
    kind(PRUNERS[pruner](), SCORERS[scorer](), torch.rand(1000)).epoch()
    losses = torch.rand(num_samples)
    before = process_memory("VmRSS")
    run = kind(PRUNERS[pruner](), SCORERS[scorer](), losses)
    for _ in range(3):
        run.epoch()
    return process_memory("VmHWM") - before


def measure(num_samples: int, repeats: int, with_memory: bool) -> list[str]:
    """Return the rows of the table for one number of samples."""
    losses = some_losses(num_samples)
    cases = [(Bookkeeping, pruner, scorer) for pruner in PRUNERS for scorer in SCORERS]
    cases += [
        (ThreeLines, pruner, scorer)
        for pruner in ("InfoBatch", "SeTa", "RePB")
        for scorer in ("per sample", "BLS")
    ]
    rows = [f"| {num_samples:.0e} | torch's sampler | | {{:.1f}} | 1.00 | |"]
    pairs = []
    for kind, pruner, scorer in tqdm(cases, desc=f"{num_samples:.0e} samples"):
        run = kind(PRUNERS[pruner](), SCORERS[scorer](), losses)
        run.epoch()  # the first epoch is whole and prunes nothing
        reference, own = best_of([lambda: timed(lambda: torch_epoch(num_samples)), run.epoch], repeats)
        pairs.append(reference)
        memory = peak(kind, pruner, scorer, num_samples) if with_memory else ""
        name = pruner if kind is Bookkeeping else f"{pruner}, three lines"
        rows.append(
            f"| {num_samples:.0e} | {name} | {scorer} | {1000 * own:.1f} | {own / reference:.2f} | {memory} |"
        )
        del run
    rows[0] = rows[0].format(1000 * min(pairs))
    return rows


def peak(kind: type[Bookkeeping], pruner: str, scorer: str, num_samples: int) -> str:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        used = pool.submit(peak_bytes, kind, pruner, scorer, num_samples).result()
    return f"{used / num_samples:.0f}"


def select_alone(num_samples: int) -> list[str]:
    """Return the rows for selections from scores that differ, one epoch after the first."""
    rows = []
    for name in tqdm(PRUNERS, desc=f"{num_samples:.0e} samples"):
        state = PruningState(num_samples, EPOCHS, PRUNERS[name](), BatchLossScore(), seed=0)
        # One batch holds all: an epoch is behind the state at the least cost.
        state.begin_epoch()
        state.record(torch.arange(num_samples), torch.tensor(1.0))
        state.end_epoch()
        torch.rand(num_samples, out=state.scores)
        seconds = timed(state.begin_epoch)
        rows.append(f"| {num_samples:.0e} | {name}, selection | | {1000 * seconds:.0f} | | |")
        del state
    rows.append(f"peak memory of the process: {process_memory('VmHWM') / 2**30:.1f} GB")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="*", default=[10**5, 10**6, 10**7])
    parser.add_argument("--repeats", type=int, default=5, help="the best of so many epochs counts")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory out: quicker")
    parser.add_argument("--update", action="store_true", help="what a step takes, instead")
    options = parser.parse_args()
    if options.update:
        torch.set_num_threads(1)
        sys.stdout.write(f"{machine()}\n\n" + "\n".join(update_rows(options.repeats)) + "\n")
        return
    rows = []
    for num_samples in options.samples:
        if num_samples >= SELECTION_ALONE:
            rows += select_alone(num_samples)
        else:
            rows += measure(num_samples, options.repeats, not options.no_memory)
    sys.stdout.write(f"{machine()}\n\n| N | pruner | scorer | ms an epoch | of torch's | bytes a sample |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n")


def machine() -> str:
    """Describe what this ran on in one line."""
    return (
        f"{os.cpu_count()} CPU cores ({device_name('cpu')}), {torch.get_num_threads()} torch threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}, batch {BATCH_SIZE}"
    )


if __name__ == "__main__":
    main()
