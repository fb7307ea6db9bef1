"""Train what `scores-matter` lacks and render it: python scripts/scores_matter.py --seeds 40."""

import argparse
import sys
from pathlib import Path

from bls_bench.experiments import scores
from bls_bench.report import scores as shown
from bls_bench.system.stopping import Interrupted


def main() -> int:
    """Return 0; a stopped sweep exits with 128 + n."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="seeds 0 to SEEDS - 1 of every cell")
    parser.add_argument("--cells", type=int, help="the first so many cells alone")
    parser.add_argument("--render", action="store_true", help="train nothing")
    parser.add_argument("--results", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    grid = scores.load()
    path = arguments.results / "scores" / "cells.jsonl"
    code = 0
    if not arguments.render:
        # It needs torch and Hydra, which take longer than the rendering.
        from bls_bench.experiments import scores_sweep

        try:
            wanted = grid.cells[: arguments.cells]
            for line in scores_sweep.run(grid, wanted, range(arguments.seeds), path):
                print(line, flush=True)
        except Interrupted as error:
            print(error, file=sys.stderr)
            code = error.exit_code
    for line in shown.render(grid, arguments.results):
        print(f"error: {line}", file=sys.stderr)
    print(f"rendered: {arguments.results / 'tables' / shown.NAME}.md")
    return code


if __name__ == "__main__":
    sys.exit(main())
