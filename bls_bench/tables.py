"""Train what tables lack and render them: python -m bls_bench.tables table8 --scale digits --seeds 0,1,2."""

import argparse
import sys
from functools import partial
from pathlib import Path

from bls_bench.experiments import manifest, spec
from bls_bench.report import growing, overhead
from bls_bench.report.output import render_all
from bls_bench.system.errors import InputError
from bls_bench.system.folders import usable


def main() -> None:
    """Run the command and exit: 0 done, 1 a run failed, 2 bad input; a stopped sweep exits with 128 + n."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(spec.names())}; all if none")
    parser.add_argument("--scale", default="digits", help=", ".join(spec.SCALES))
    parser.add_argument(
        "--seeds", default="0,1,2,3,4", help="with commas between; auto: until each row is decided"
    )
    parser.add_argument("--budget", type=int, default=40, help="the most seeds of --seeds auto")
    parser.add_argument("--render", action="store_true", help="train nothing")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--launcher", default="basic", help="Hydra's: basic, joblib, submitit_slurm")
    arguments = parser.parse_args()
    try:
        tables = [spec.load(name, arguments.scale) for name in arguments.names or spec.names()]
        rule = manifest.rule_within(arguments.budget) if arguments.seeds == "auto" else None
        seeds = [] if rule else [int(seed) for seed in arguments.seeds.split(",")]
        usable(arguments.results)
        if rule and not arguments.render:
            for table in tables:
                growing.check(table, rule, arguments.results)
    except InputError as error:
        parser.error(str(error))
    except ValueError:
        parser.error(f"SEEDS={arguments.seeds} must be whole numbers with commas between, as 0,1,2, or auto")

    failed = []
    if not arguments.render:
        # These need torch and Hydra, which take longer than the rendering.
        from bls_bench.bench.overhead import measure_once
        from bls_bench.experiments import sweep

        for table in tables:
            if table.kind == "overhead":
                measure_once(overhead.path(arguments.results))
                continue
            train = partial(
                sweep.run, table, results=arguments.results, launcher=arguments.launcher, rule=rule
            )
            if rule:
                failed += growing.grow(table, rule, arguments.results, train)
            else:
                failed += train(seeds)
    problems = render_all(arguments.results, tables)
    print(f"rendered: {arguments.results / 'README.md'}, {arguments.results / 'report.html'}")
    for line in [*problems, *failed]:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
