"""What the pages and files show of one table: texts, lines and figures, whatever they come from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from bls_bench.experiments.manifest import Rule
from bls_bench.experiments.published import Published
from bls_bench.experiments.spec import Table
from bls_bench.records.schema import VERSIONS, Metric
from bls_bench.report import figures, findings, forest, numbers, spectra
from bls_bench.report.cells import Cell, Cells, header

LEGEND = (
    "Published: value / pruned % (source); a question mark for a doubtful one, a dash for a cell left open, "
    '"but" for what papers print otherwise; Difference: ours less it.',
    "Against full data: mean of the differences at equal seeds with its 95% t interval.",
    "Verdict: lossless if two one-sided tests put that within the margin (p < 0.05); if not, worse or better "
    "if it differs from zero (p < 0.05 by Holm's correction over the table); else, and always below 3 seeds, "
    "not enough seeds; in brackets how many would show it lossless with 80% power, with the spread that was "
    "measured and were there no difference.",
    "Time saved: of the CPU seconds of training, selection and scoring runs; left out unless all runs have "
    "them, of one kind of machine, and full data takes at least 10.",
    "Score~loss: rank correlation of the scores used with the losses then seen, mean over the last half; "
    "empty where no scores are used.",
)


def of_rule(rule: Rule) -> str:
    """Say by which rule the seeds came, and what a verdict is then worth."""
    looks = ", ".join(map(str, rule.looks))
    spent = ", ".join(f"{100 * alpha:.3g}%" for alpha in dict.fromkeys(rule.alpha))
    return (
        f"Seeds were added by a rule fixed before the first look, until a row is lossless, worse or better: "
        f"looks at {looks} seeds, of which each may be wrong in {spent} of cases (the p above are multiplied "
        f"accordingly), all together in 5%. Seeds from before the rule count as if they had come by it. "
        f"The difference, its interval and its verdict are as of the look "
        f"that decided, or the last one, and no seed that came later changes them; the interval is that of "
        f"this one look, at which such a row ended because of it."
    )


def legend(metrics: Iterable[Metric], rule: Rule | None = None) -> tuple[str, ...]:
    """Say how to read cells that are judged by the metrics, and whose seeds came by a rule, if any."""
    metrics = list(dict.fromkeys(metrics))
    names = ", ".join(map(numbers.title, metrics)) or numbers.title(None)
    lower = [numbers.title(metric) for metric in metrics if metric.better == "lower"]
    return (
        f"{names}: after the last epoch, mean ± sample standard deviation over n seeds.",
        *LEGEND,
        *([of_rule(rule)] if rule else []),
        *([f"Lower values are better: {', '.join(lower)}."] if lower else []),
    )


@dataclass(frozen=True)
class Block:
    """A part of a table under a caption of its own: lines of texts below a header."""

    caption: str
    header: Sequence[str]
    lines: list[list[str]]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table with all that belongs to it.

    stem: the name of its files. metrics: what its runs are judged by. legend: how to read it, the same for
    many tables; remarks: what it alone needs; doubts: of published values. lines: of the CSV file.
    command: what makes it; provenance: where its numbers come from.
    figure: draws the one that the pages show. forest: draws the differences with their intervals.
    curves: draw more for report.html, by their titles. empty: whether all of it is still to be run.
    finding: what it shows, in a line. cells: of a table whose cells are runs. stands_in: whether other data
    and models stand in for the paper's.
    """

    table: Table
    stem: str
    heading: str
    finding: str
    blocks: list[Block]
    legend: Sequence[str]
    remarks: list[str]
    doubts: list[str]
    lines: list[dict[str, Any]]
    command: str
    provenance: list[str]
    metrics: Sequence[Metric] = ()
    figure: Callable[[], Figure] | None = None
    curves: dict[str, Callable[[], Figure]] = field(default_factory=dict)
    empty: bool = False
    forest: Callable[[], Figure] | None = None
    cells: Cells = field(default_factory=dict)
    stands_in: bool = False


def of_runs(table: Table, cells: Cells, rule: Rule | None = None) -> Section:
    """Return the section of a table whose cells are runs. rule: by which it gets seeds, if they decide."""
    every = [cell for column in cells.values() for cell in column]
    shown = [column for column in table.columns if any(cell.runs for cell in cells[column.label])]
    seeds = sorted({seed for cell in every for seed in cell.seeds})
    metrics = list(dict.fromkeys(cell.metric for cell in every if cell.metric))
    # Columns in which nothing was run are headed as the others.
    usual = metrics[0] if metrics else None
    panels = forest.panels(table, cells)
    # Its layout is fixed, so that the one drawing serves all files.
    plot = cache(partial(forest.draw, table.heading, panels)) if panels else None
    return Section(
        table=table,
        stem=table.stem,
        heading=table.heading,
        finding=findings.of_cells(table, cells),
        blocks=[
            Block(
                column.header,
                header(cells[column.label][0].metric or usual),
                [cell.texts() for cell in cells[column.label]],
            )
            for column in table.columns
        ],
        legend=legend(metrics, rule),
        remarks=_remarks(table, every),
        doubts=doubts(value for cell in every for value in cell.published),
        lines=[_line(cell, cell.metric or usual) for cell in every],
        command=f"{table.command} SEEDS="
        + (f"auto BUDGET={rule.budget}" if rule else ",".join(map(str, seeds))),
        provenance=_provenance(table, every),
        metrics=metrics,
        figure=partial(figures.draw, table, cells) if table.kind != "table" else None,
        curves=({"Against full data": plot} if plot else {})
        | {
            f"{column.header}, over the epochs": partial(figures.curves, table, column.label, cells)
            for column in shown
        },
        empty=not shown,
        forest=plot,
        cells=cells,
        stands_in=table.scale != "paper",
    )


def _remarks(table: Table, cells: list[Cell]) -> list[str]:
    sentences = []
    if table.kind in ("table", "figure", "rates"):
        margins = dict.fromkeys(
            numbers.margin(cell.margin, cell.metric)
            for cell in cells
            if cell.metric and cell.margin is not None
        )
        sentences += [f"Margin of the verdict: {margin}." for margin in margins]
    if table.scale != "paper":
        sentences.append(
            f"At SCALE={table.scale} other data and models stand in for the paper's: the difference to the "
            "published value then says nothing about the paper."
        )
    if table.note:
        sentences.append(table.note)
    if table.kind == "spectra":
        sentences += [spectra.finding(cell) for cell in cells if spectra.kept(cell)]
    return sentences


def doubts(values: Iterable[Published]) -> list[str]:
    """Return what there is to say of the published values that are doubtful, each once."""
    return sorted({f"{value.source}: {value.remark}" for value in values if value.uncertain})


def _provenance(table: Table, cells: list[Cell]) -> list[str]:
    """Say what produced the numbers: scale, data, models, n, machine, versions."""
    runs = [run for cell in cells for run in cell.runs.values()]
    if not runs:
        return ["No finished run yet."]
    environments = [run.environments[-1] for run in runs]
    threads = each(environment["threads"] for environment in environments)
    epochs = each(run.result["epochs"] for run in runs)
    return [
        f"{len({run.key for run in runs})} runs of {epochs} epochs on "
        f"{each(run.result['num_samples'] for run in runs)} samples.",
        f"Trained: {each(cell.column.header for cell in cells if cell.runs)}.",
        f"Machine: {each(run.machine for run in runs)}, device "
        f"{each(environment['device'] for environment in environments)}, {threads} threads a run.",
        versions(environments),
    ]


def versions(environments: list[dict[str, Any]]) -> str:
    found = (f"{name} {each(environment[name] for environment in environments)}" for name in VERSIONS)
    return f"Versions: {', '.join(found)}."


def each(values: Iterable[object]) -> str:
    """List different values in order, numbers by size."""
    return ", ".join(map(str, sorted(set(values), key=lambda value: (type(value).__name__, value))))


def _line(cell: Cell, metric: Metric | None) -> dict[str, Any]:
    versus, last, name = cell.versus, cell.last, metric.name if metric else "result"
    return {
        "column": cell.column.label,
        "trained": cell.column.stand_in,
        "method": cell.row.label,
        "n": len(cell.runs),
        "seeds_wanted": len(cell.seeds),
        f"{name}_last": last and last.mean,
        f"{name}_last_std": last and last.std,
        f"{name}_best": fmean(run.best for run in cell.runs.values()) if cell.runs else None,
        "pruned_percent": cell.pruned_percent,
        "pruned_percent_with_scoring": cell.pruned_percent_with_scoring,
        "published": "; ".join(value.value for value in cell.published),
        "published_pruned_percent": "; ".join(value.pruned_percent for value in cell.published),
        "source": "; ".join(value.source for value in cell.published),
        "published_notes": "; ".join(value.notes for value in cell.published if value.notes),
        "uncertain": any(value.uncertain for value in cell.published) if cell.published else None,
        "printed_elsewhere": "; ".join(value.told for value in cell.elsewhere),
        "difference": cell.difference,
        "pairs": versus and versus.n,
        "against_full": versus and versus.difference,
        "against_full_low": versus and versus.low,
        "against_full_high": versus and versus.high,
        "p_equivalent": versus and versus.p_equivalent,
        "verdict": versus and versus.verdict,
        "time_saved_percent": cell.saving,
        "published_time_saved_percent": cell.saving_published,
        "score_loss_correlation": cell.correlation,
        "p_zero_holm": versus and versus.p_zero,
        "seeds_needed": versus and versus.seeds_needed,
        **({"look": versus and versus.look, "looks": len(cell.rule.looks)} if cell.rule else {}),
    }
