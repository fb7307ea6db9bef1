"""How results/README.md begins: a figure and five sentences, computed from the sections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from matplotlib.figure import Figure

from bls_bench.experiments.spec import Table
from bls_bench.report import effects, findings, forest
from bls_bench.report.effects import Effect
from bls_bench.report.render import escaped
from bls_bench.report.section import Section
from bls_bench.report.statistics import BETTER, LOSSLESS, OPEN, WORSE

# The table that the figure shows, which has controls at every scale, and the row that sentences tell of.
TABLE, METHOD = "table8", "InfoBatch + BLS"
STEM = "overview"


def figure(sections: Sequence[Section]) -> Figure | None:
    """Draw the table at all scales; None where nothing of it was run."""
    shown = [
        panel for one in sections if one.table.name == TABLE for panel in forest.panels(one.table, one.cells)
    ]
    title = next((one.table.title for one in sections if one.table.name == TABLE), "")
    return forest.draw(title, shown) if shown else None


def sentences(sections: Sequence[Section]) -> list[str]:
    """Return what the runs of all tables say on five questions; nothing where no run is beside full data."""
    commands = {one.stem: one.command for one in sections}
    every_full, every_random = (
        [effect for one in sections for effect in found(one.table, one.cells)]
        for found in (effects.against_full, effects.against_random)
    )
    full, random = effects.distinct(every_full), effects.distinct(every_random)
    if not full:
        return []
    return [
        f"**Does pruning pay?** {_pays(full)}{_example(every_full, commands)}",
        f"**Does the score matter?** {_matters(random)}{_example(every_random, commands)}",
        f"**What is lossless?** {_lossless(full, commands)}",
        f"**What does it save?** {_saves(full, sections)}",
        f"**What is open?** {_open([*full, *random])}",
    ]


def _pays(full: list[Effect]) -> str:
    found, single = effects.count(full), effects.one_by_one(full)
    return (
        f"Of {len(full)} comparisons with full data {found[BETTER]} are better, {found[LOSSLESS]} lossless, "
        f"{found[WORSE]} worse, and in {found[OPEN]} the seeds decide nothing; one by one, not "
        f"corrected, {single[WORSE]} intervals lie on the worse side of zero and {single[BETTER]} on the "
        "better, where chance alone gives one in forty each"
    )


def _matters(random: list[Effect]) -> str:
    if not random:
        return "No method that prunes as much as its random scores was run"
    scorers: dict[str, list[Effect]] = {}
    for one in random:
        name = next(iter(one.cell.runs.values())).config["scorer"]["_target_"]
        scorers.setdefault(name, []).append(one)
    told = []
    for name, own in sorted(scorers.items()):
        found = effects.count(own)
        told.append(f"`{name}` {found[BETTER]} better and {found[WORSE]} worse of {len(own)}")
    return (
        f"Beside random scores under the same pruner at the same pruned %: {', '.join(told)}; "
        "the rest are open"
    )


def _example(found: list[Effect], commands: dict[str, str]) -> str:
    """Return the row at each scale, in the table's first column."""
    told: dict[str, str] = {}
    for one in found:
        scale = one.table.scale
        if one.table.name == TABLE and one.cell.row.label == METHOD and scale not in told:
            told[scale] = f"{one.told}, {one.cell.column.stand_in} (`{commands[one.table.stem]}`)"
    return f". {METHOD}: {'; '.join(told.values())}." if told else "."


def _lossless(full: list[Effect], commands: dict[str, str]) -> str:
    judged = [one for one in full if one.cell.margin is not None]
    told = []
    for scale in dict.fromkeys(one.table.scale for one in judged):
        own = [one for one in judged if one.table.scale == scale]
        told.append(f"{effects.count(own)[LOSSLESS]} of {len(own)} at SCALE={scale}")
    top = findings.most_pruned(judged)
    if not top:
        return f"Shown within the margin: {'; '.join(told) or 'nothing'}."
    return (
        f"Shown within the margin: {'; '.join(told)}; the most pruned of them is {top.cell.row.label}, "
        f"{top.told}, {top.cell.column.stand_in} (`{commands[top.table.stem]}`), and one picked of many "
        "looks better than it is."
    )


def _saves(full: list[Effect], sections: Sequence[Section]) -> str:
    shares = sorted(one.cell.pruned_percent or 0 for one in full)
    timed = [one.cell.saving for one in full if one.cell.saving is not None]
    time = (
        f"{round(min(timed))} to {round(max(timed))}% of full data's CPU seconds in the {len(timed)} that "
        "have them"
        if timed
        else "how much time that is, no run says, since none has its CPU seconds beside full data's"
    )
    costs = list(dict.fromkeys(one.finding for one in sections if one.table.kind == "overhead"))
    return (
        f"{shares[0]:.1f} to {shares[-1]:.1f}% of the samples' forward and backward passes (a static "
        f"method's scoring run not counted), half of the methods at least {median(shares):.1f}%; {time}. "
        f"{' '.join(costs[:1])}"
    ).rstrip()


def _open(every: list[Effect]) -> str:
    undecided = [one for one in every if one.outcome == OPEN]
    needed = [one.found.seeds_needed for one in undecided if one.found.seeds_needed is not None]
    if not needed:
        return f"{len(undecided)} of {len(every)} comparisons."
    had = sorted({one.found.n for one in undecided})
    return (
        f"{len(undecided)} of {len(every)} comparisons, which had {' or '.join(map(str, had))} seeds; to "
        "be shown lossless half of those whose interval holds zero would take "
        f"{math.ceil(median(needed))} or more (80% power, with the spread that was measured "
        "and were there no difference)."
    )


def index(sections: Sequence[Section]) -> list[str]:
    """Return a line of a Markdown table for each section: its page, how many seeds, what it shows."""
    lines = ["| table | data | seeds | finding |", "| --- | --- | --- | --- |"]
    for one in sections:
        lines.append(
            f"| [{one.table.title}](tables/{one.stem}.md) | {_scale(one.table)} | {_seeds(one)} | "
            f"{escaped(one.finding)} |"
        )
    return lines


def _scale(table: Table) -> str:
    return "" if table.kind == "overhead" else table.scale


def _seeds(section: Section) -> str:
    counts = {len(cell.runs) for column in section.cells.values() for cell in column if cell.runs}
    return "-".join(map(str, sorted({min(counts), max(counts)}))) if counts else ""
