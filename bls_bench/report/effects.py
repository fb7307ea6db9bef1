"""What pruning changes: a method beside full data, and beside random scores under the same pruner."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

from scipy import stats

from bls_bench.experiments.spec import Table
from bls_bench.report import numbers, statistics
from bls_bench.report.cells import Cell, Cells
from bls_bench.report.statistics import CONFIDENCE, MIN_SEEDS, Comparison

POWER = 0.8
# Points of pruned % by which a method and its random scores may differ to be set beside each other.
ALIKE = 1.0
LOSSLESS, BETTER, WORSE, OPEN = OUTCOMES = ("lossless", "better", "worse", "open")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A cell beside other runs of the same seeds. table: where it stands."""

    cell: Cell
    found: Comparison
    table: Table

    @property
    def outcome(self) -> str:
        """The verdict; where there is none the side of the interval, and "open" for all that is undecided."""
        found = self.found
        if found.verdict is not None:
            return found.verdict if found.verdict in OUTCOMES else OPEN
        if found.n < MIN_SEEDS or self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return OPEN
        better = self.cell.metric.better if self.cell.metric else "higher"
        return BETTER if (found.difference > 0) == (better == "higher") else WORSE

    @property
    def seeds_needed(self) -> int | None:
        """Seeds that tell a difference of the margin from none, with 80% power at 5%.

        By the normal approximation ((1.96 + 0.84) s / margin)^2, s the measured standard deviation of the
        differences; None without a margin or a spread.
        """
        found, margin = self.found, self.cell.margin
        if margin is None or self.interval is None or self.interval[0] == self.interval[1]:
            return None
        half = (self.interval[1] - self.interval[0]) / 2
        deviation = half / stats.t.ppf((1 + CONFIDENCE) / 2, found.n - 1) * math.sqrt(found.n)
        needed = stats.norm.ppf((1 + CONFIDENCE) / 2) + stats.norm.ppf(POWER)
        return math.ceil((needed * deviation / margin) ** 2)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of the difference; None below two seeds."""
        low, high = self.found.low, self.found.high
        return None if low is None or high is None else (low, high)

    @property
    def told(self) -> str:
        """The difference with its interval and n, as a part of a sentence."""
        found, metric = self.found, self.cell.metric
        own, low, high = (
            numbers.difference(value, metric) for value in (found.difference, found.low, found.high)
        )
        interval = f" [{low}, {high}]" if low else ""
        unit = " points" if metric and metric.unit == "%" else ""
        return f"{own}{interval}{unit} at {self.cell.pruned_percent:.1f}% pruned (n={found.n})"

    @property
    def identity(self) -> str:
        """The same for cells of several tables that are trained alike."""
        return _setting(self.cell, "seed", "logger", "plugins")


def against_full(table: Table, cells: Cells) -> list[Effect]:
    """Return what prunes anything beside full data, in the order of the table."""
    return [
        Effect(cell=cell, found=cell.versus, table=table)
        for column in cells.values()
        for cell in column
        if cell.versus is not None and cell.pruned_percent
    ]


def against_random(table: Table, cells: Cells) -> list[Effect]:
    """Return what uses scores beside the row of its column that differs in nothing but random scores.

    Only where both prune the same, within a point: a method that prunes more differs by that too.
    """
    effects = []
    for column in cells.values():
        controls = {_setting(cell, "seed", "scorer"): cell for cell in column if _scorer(cell) == "random"}
        for cell in column:
            control = controls.get(_setting(cell, "seed", "scorer"))
            if control is None or control is cell or not _alike(cell, control):
                continue
            ours, theirs = ({seed: run.last for seed, run in one.runs.items()} for one in (cell, control))
            metric = cell.metric
            found = statistics.compare(ours, theirs, None, metric.better) if metric else None
            if found:
                effects.append(Effect(cell=cell, found=found, table=table))
    return effects


def distinct(effects: Iterable[Effect]) -> list[Effect]:
    """Keep one of the effects whose cells are trained alike: that of most seeds."""
    kept: dict[str, Effect] = {}
    for effect in effects:
        known = kept.get(effect.identity)
        if known is None or known.found.n < effect.found.n:
            kept[effect.identity] = effect
    return list(kept.values())


def count(effects: Iterable[Effect]) -> dict[str, int]:
    """Return how many effects there are of each outcome."""
    outcomes = [effect.outcome for effect in effects]
    return {outcome: outcomes.count(outcome) for outcome in OUTCOMES}


def is_control(cell: Cell) -> bool:
    """Whether nothing that the training showed decided what was pruned: random scores, random pruning."""
    pruner = next(iter(cell.runs.values())).config["pruner"] if cell.runs else {}
    at_random = pruner.get("_target_") in ("random", "static_random") or pruner.get("prune") == "random"
    return at_random or _scorer(cell) == "random"


def _alike(cell: Cell, control: Cell) -> bool:
    ours, theirs = cell.pruned_percent, control.pruned_percent
    return ours is not None and theirs is not None and abs(ours - theirs) <= ALIKE and _scored(cell)


def _scored(cell: Cell) -> bool:
    return all(run.result["uses_scores"] for run in cell.runs.values())


def _scorer(cell: Cell) -> str | None:
    """Return the scorer of a cell; None where none was run, or the pruner uses none."""
    if not cell.runs or not _scored(cell):
        return None
    return str(next(iter(cell.runs.values())).config["scorer"].get("_target_"))


def _setting(cell: Cell, *left_out: str) -> str:
    """Return what a cell's runs were told as a text, less the groups that are left out."""
    config = next(iter(cell.runs.values())).config if cell.runs else {}
    return json.dumps({key: value for key, value in config.items() if key not in left_out}, sort_keys=True)
