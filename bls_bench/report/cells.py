"""The cells of a table, from the records of its runs and the values that the papers print."""

from dataclasses import dataclass, replace
from statistics import fmean

from bls_bench.experiments import published
from bls_bench.experiments.manifest import Keys, Rule
from bls_bench.experiments.published import Published
from bls_bench.experiments.spec import Column, Row, Table
from bls_bench.records.schema import Metric
from bls_bench.report import numbers, sequential, statistics
from bls_bench.report.numbers import signed
from bls_bench.report.runs import Run, Runs
from bls_bench.report.sequential import Pair

MISSING = "missing"
# Of full data: runs of two CPU seconds differ by a half with what else shares the cores, which says nothing
# about pruning; those of half a minute by a tenth.
MIN_CPU_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One row in one column.

    metric: what its column's runs are judged by, None where none is finished. runs: the finished ones by
    seed. seeds: those that the cell was asked for. margin: of the verdict. versus: the comparison with
    full-data training, None for that itself. saving: percent of its CPU seconds that was saved over
    the seeds that both have, None where they are not known, too short or of different machines;
    saving_published: the same of the hours that the paper prints, None where it prints none.
    elsewhere: what papers print of the same thing that differs from `published`. rule: by which its table
    gets seeds, None where they are given.
    """

    row: Row
    column: Column
    metric: Metric | None
    margin: float | None
    runs: dict[int, Run]
    seeds: list[int]
    versus: statistics.Comparison | None
    saving: float | None
    saving_published: float | None
    published: list[Published]
    elsewhere: list[Published]
    rule: Rule | None = None

    @property
    def values(self) -> dict[int, float]:
        """The metric after the last epoch, by seed."""
        return {seed: run.last for seed, run in self.runs.items()}

    @property
    def last(self) -> statistics.Spread | None:
        """The metric after the last epoch."""
        return statistics.spread([*self.values.values()])

    @property
    def pruned_percent(self) -> float | None:
        return fmean(run.pruned_percent for run in self.runs.values()) if self.runs else None

    @property
    def pruned_percent_with_scoring(self) -> float | None:
        """Pruned % that counts the samples of scoring runs; None for a method that has none."""
        known = [
            share for run in self.runs.values() if (share := run.pruned_percent_with_scoring) is not None
        ]
        return fmean(known) if known else None

    @property
    def correlation(self) -> float | None:
        """Rank correlation of scores and true losses, mean over seeds; None where no run has one."""
        known = [value for run in self.runs.values() if (value := run.correlation) is not None]
        return fmean(known) if known else None

    @property
    def difference(self) -> float | None:
        """Ours less the published value; None where either is missing."""
        printed = next((value.number for value in self.published if value.number is not None), None)
        return self.last.mean - printed if self.last and printed is not None else None

    def texts(self) -> list[str]:
        """Return the cell as text, in the order of `header`; empty where there is nothing to say."""
        return [self.row.label, *self._measured(), *self._printed(), *self._compared()]

    def _measured(self) -> list[str]:
        if self.last is None or self.metric is None:
            return [MISSING, ""]
        lacking = f" of {len(self.seeds)} seeds" if len(self.runs) < len(self.seeds) else ""
        return [numbers.spread(self.last, self.metric) + lacking, f"{self.pruned_percent:.1f}"]

    def _printed(self) -> list[str]:
        text = "; ".join(value.told for value in self.published)
        if self.elsewhere:
            text += "; but " + ", ".join(value.told for value in self.elsewhere)
        return [text, numbers.difference(self.difference, self.metric)]

    def _compared(self) -> list[str]:
        texts = ["", "", "", signed(self.correlation)]
        if self.versus:
            told, low, high = (
                numbers.difference(value, self.metric)
                for value in (self.versus.difference, self.versus.low, self.versus.high)
            )
            texts[:2] = f"{told} [{low}, {high}]" if low else told, self.versus.told
            if self.versus.n < len(self.runs):
                texts[0] += f" ({self.versus.n} pairs)"
        if self.saving is not None:
            texts[2] = f"{round(self.saving)}%"
        if self.saving_published is not None:
            texts[2] = f"{texts[2]}; {round(self.saving_published)}% published".lstrip("; ")
        return texts


# The cells of each column, by the column's label, in the order of the rows.
Cells = dict[str, list[Cell]]


def header(metric: Metric | None) -> tuple[str, ...]:
    """Return what heads the texts of cells that are judged by a metric."""
    return (
        "Method",
        numbers.label(metric),
        "Pruned %",
        "Published",
        "Difference",
        "Against full data [95%]",
        "Verdict",
        "Time saved",
        "Score~loss",
    )


def build(table: Table, keys: Keys, runs: Runs, rule: Rule | None = None) -> Cells:
    """Return the cells of a table; their comparisons with full data are one family.

    See `statistics.corrected`, and `sequential.judged` for seeds that came by a rule.
    """
    columns = {column.label: _column(table, column, keys, runs) for column in table.columns}
    if rule is None:
        found = statistics.corrected([cell.versus for column in columns.values() for cell in column])
    else:
        pairs = [_pair(table, cell, column) for column in columns.values() for cell in column]
        found = sequential.judged(pairs, rule)
    family = iter(found)
    return {
        label: [replace(cell, versus=next(family), rule=rule) for cell in column]
        for label, column in columns.items()
    }


def _pair(table: Table, cell: Cell, column: list[Cell]) -> Pair | None:
    """Return a cell beside the full-data training of its column."""
    if cell.versus is None or cell.metric is None:
        return None
    full = next(other for other in column if other.row.label == table.baseline)
    return Pair(cell.values, full.values, cell.margin, cell.metric.better)


def _column(table: Table, column: Column, keys: Keys, runs: Runs) -> list[Cell]:
    seeds = {row.label: keys.get((row.label, column.label), {}) for row in table.rows}
    finished = {
        label: {
            seed: replace(run, judged_by=column.metric)
            for seed, key in cell.items()
            if (run := runs.get(key)) is not None
        }
        for label, cell in seeds.items()
    }
    metric = next((run.metric for cell in finished.values() for run in cell.values()), None)
    full = finished.get(table.baseline, {})
    return [
        _cell(table, row, column, metric, finished[row.label], full, list(seeds[row.label]))
        for row in table.rows
    ]


def _cell(
    table: Table,
    row: Row,
    column: Column,
    metric: Metric | None,
    own: dict[int, Run],
    full: dict[int, Run],
    seeds: list[int],
) -> Cell:
    versus, saving = None, None
    margin = table.margin if table.margin is not None or metric is None else metric.margin
    if row.label != table.baseline and metric is not None:
        ours, whole = ({seed: run.last for seed, run in runs.items()} for runs in (own, full))
        versus = statistics.compare(ours, whole, margin, metric.better)
        saving = _saving([(own[seed], full[seed]) for seed in own.keys() & full.keys()])
    found = []
    if row.published is not None:
        found = published.find(table.published | column.published | row.published)
        found = [value for value in found if metric is None or value.is_of(metric.name)]
    baseline = next((row for row in table.rows if row.label == table.baseline), None)
    return Cell(
        row=row,
        column=column,
        metric=metric,
        margin=margin,
        runs=own,
        seeds=seeds,
        versus=versus,
        saving=saving,
        saving_published=_saving_published(table, column, row, baseline),
        published=found,
        elsewhere=published.disagreements(found),
    )


def _saving(pairs: list[tuple[Run, Run]]) -> float | None:
    """Return the percent of full data's CPU seconds that runs save, each beside the one of its seed.

    None where any of them is not known, they are of different machines, or full data takes less than
    `MIN_CPU_SECONDS`.
    """
    machines = {run.machine for pair in pairs for run in pair}
    costs = [(run.cpu_seconds, whole.cpu_seconds) for run, whole in pairs]
    known = [(own, full) for own, full in costs if own is not None and full is not None]
    enough = all(full >= MIN_CPU_SECONDS for _, full in known)
    if len(known) < len(costs) or len(machines) != 1 or not enough:
        return None
    return 100 * (1 - sum(own for own, _ in known) / sum(full for _, full in known))


def _saving_published(table: Table, column: Column, row: Row, baseline: Row | None) -> float | None:
    """Return the percent of full data's hours that a row saves in the paper; None where it prints none."""
    hours = []
    for one in (row, baseline):
        if one is None or one.published is None:
            return None
        found = published.find(table.published | column.published | one.published | {"metric": "time_h"})
        hours += [value.number for value in found if value.number is not None]
    return 100 * (1 - hours[0] / hours[1]) if len(hours) == 2 and row is not baseline else None
