"""More seeds for what no verdict has been reached on, look by look."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from bls_bench.experiments import manifest
from bls_bench.experiments.manifest import Place, Rule
from bls_bench.experiments.spec import Table
from bls_bench.report import cells
from bls_bench.report.runs import Runs
from bls_bench.report.statistics import OPEN
from bls_bench.system.errors import InputError

# Trains the seeds of the cells, None for all; returns a line for each run that failed.
Train = Callable[[range, Collection[Place] | None], list[str]]


def check(table: Table, rule: Rule, results: Path) -> None:
    """Raise InputError where a table was begun by another rule: it cannot be changed after looking."""
    file = manifest.path(results, table.name, table.scale)
    begun = manifest.rule(file)
    if begun is not None and begun != rule:
        raise InputError(
            f"BUDGET={rule.budget} comes too late: {file} was begun with looks at "
            f"{', '.join(map(str, begun.looks))} seeds, go on with BUDGET={begun.budget}"
        )


def grow(table: Table, rule: Rule, results: Path, train: Train) -> list[str]:
    """Train as many seeds as the comparisons of a table with full data take to decide, or as the rule allows.

    A cell that is decided gets no more, and full data as many as any cell of its column. What a stopped call
    has left the next one goes on with. Returns a line for each run that failed; a cell that lacks one stays
    where it is.
    """
    failed: dict[str, None] = {}
    wanted: set[Place] | None = None
    for look, seeds in enumerate(rule.looks, start=1):
        failed |= dict.fromkeys(train(range(seeds), wanted))
        wanted = undecided(table, rule, results, look)
        last = look == len(rule.looks)
        told = f"{len(wanted)} of its cells are undecided" if wanted else "no cell with all its runs is open"
        print(f"{table.name}: look {look} of {len(rule.looks)}, at {seeds} seeds: {told}", flush=True)
        if last or not wanted:
            break
    return list(failed)


def undecided(table: Table, rule: Rule, results: Path, look: int) -> set[Place]:
    """Return the cells that were open at a look, for which they have all seeds, and their full data."""
    keys = manifest.read(manifest.path(results, table.name, table.scale))
    built = cells.build(table, keys, Runs(results / table.scale), rule)
    return {
        (row, label)
        for label, column in built.items()
        for cell in column
        if cell.versus
        and (cell.versus.look > look or (cell.versus.look == look and cell.versus.outcome == OPEN))
        for row in (cell.row.label, table.baseline)
    }
