"""What a table shows, in a line: computed from its cells."""

from __future__ import annotations

from bls_bench.experiments.spec import Table
from bls_bench.report import effects, numbers, spectra
from bls_bench.report.cells import Cells
from bls_bench.report.effects import Effect
from bls_bench.report.statistics import BETTER, LOSSLESS, OPEN, WORSE


def of_cells(table: Table, cells: Cells) -> str:
    """Return the finding of a table whose cells are runs."""
    every = [cell for column in cells.values() for cell in column]
    if table.kind == "spectra":
        return next((spectra.finding(cell) for cell in every if spectra.kept(cell)), "No losses were kept.")
    if table.kind == "correlation":
        known = {cell.row.label: cell.correlation for cell in every if cell.correlation is not None}
        told = ", ".join(f"{numbers.signed(value)} at {label}" for label, value in known.items())
        return f"Rank correlation of scores and losses: {told}." if known else "No correlation is known."
    sentences = [_beside_full(effects.against_full(table, cells))]
    for against, name in ((effects.against_random, "random"), (effects.against_stale, "stale")):
        scored = against(table, cells)
        if scored:
            found = effects.count(scored)
            sentences.append(
                f"Beside {name} scores under the same pruner: {found[BETTER]} better, {found[WORSE]} worse, "
                f"{found[OPEN]} open."
            )
    return " ".join(sentences)


def _beside_full(found: list[Effect]) -> str:
    if not found:
        return "Nothing that prunes was run beside full data."
    counts = effects.count(found)
    words = [f"{counts[LOSSLESS]} lossless"] if any(one.cell.margin is not None for one in found) else []
    top = most_pruned(found)
    if top:
        words[0] += f" (the most pruned: {top.cell.row.label}, {top.cell.pruned_percent:.1f}%)"
    words += [f"{counts[BETTER]} better"] if counts[BETTER] else []
    words += [f"{counts[WORSE]} worse", f"{counts[OPEN]} open"]
    return f"Of {len(found)} beside full data: {', '.join(words)}."


def most_pruned(found: list[Effect]) -> Effect | None:
    """Return which of the lossless prunes most; None where none is."""
    lossless = [one for one in found if one.outcome == LOSSLESS]
    return max(lossless, key=lambda one: one.cell.pruned_percent or 0, default=None)
