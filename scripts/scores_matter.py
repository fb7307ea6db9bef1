"""Train what `scores-matter` lacks and render it: python scripts/scores_matter.py --seeds 40."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from bls_bench.experiments import scores
from bls_bench.report import scores as shown
from bls_bench.system.errors import InputError
from bls_bench.system.folders import usable
from bls_bench.system.stopping import STOPPING, Interrupted


def main() -> int:
    """Return 0; bad input exits with 2, signal n with 128 + n."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default=scores.SCALES[0], help=", ".join(scores.SCALES))
    parser.add_argument("--seeds", type=int, default=40, help="seeds 0 to SEEDS - 1 of every cell")
    parser.add_argument("--cells", type=int, help="the first so many cells alone")
    parser.add_argument("--jobs", type=int, default=-1, help="cells at a time; -1: one a core")
    parser.add_argument("--render", action="store_true", help="train nothing")
    parser.add_argument("--results", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    try:
        grid = scores.load(arguments.scale)
        _check(arguments)
        usable(arguments.results)
    except InputError as error:
        parser.error(str(error))
    code = 0
    if not arguments.render:
        # It needs torch and Hydra, which take longer than the rendering.
        from bls_bench.experiments import scores_sweep

        wanted, seeds = grid.cells[: arguments.cells], range(arguments.seeds)
        path = grid.records(arguments.results)
        for number in STOPPING:
            signal.signal(number, _stop)
        try:
            for line in scores_sweep.run(grid, wanted, seeds, path, arguments.jobs):
                print(line, flush=True)
        except Interrupted as error:
            print(error, file=sys.stderr)
            code = error.exit_code
    for line in shown.render(grid, arguments.results):
        print(f"error: {line}", file=sys.stderr)
    print(f"rendered: {shown.page(grid, arguments.results)}")
    return code


def _check(arguments: argparse.Namespace) -> None:
    """Raise InputError for a number that means nothing."""
    for name in ("seeds", "cells"):
        number = getattr(arguments, name)
        if number is not None and number < 1:
            raise InputError(f"--{name} must be at least 1, got {number}")
    if arguments.jobs != -1 and arguments.jobs < 1:
        raise InputError(f"--jobs must be at least 1, or -1 for one a core, got {arguments.jobs}")


def _stop(number: int, _: FrameType | None) -> None:
    """End the processes that train, too."""
    raise Interrupted(number, "stopped; the same command goes on with the cells that are missing")


if __name__ == "__main__":
    sys.exit(main())
