"""What pruning changes: a method beside full data, and beside random scores under the same pruner."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from bls_bench.experiments.spec import Table
from bls_bench.report import numbers, sequential, statistics
from bls_bench.report.cells import Cell, Cells
from bls_bench.report.sequential import Pair
from bls_bench.report.statistics import BETTER, OUTCOMES, WORSE, Comparison

# Points of pruned % by which a method and its random scores may differ to be set beside each other.
ALIKE = 1.0
# Scorers that look at no loss. The second weighs every sample's own loss as methods on such losses do.
RANDOM, RANDOM_OWN_LOSS, STALE = CONTROLS = ("random", "random_per_sample", "stale")
# InfoBatch that takes as many candidates as lie below the mean, at random, and weighs their own losses.
PRUNED_AT_RANDOM = "pruner.prune=random"
# Scorers under which weights multiply the loss of each sample.
OWN_LOSS = ("per_sample", "gradient_norm", "error_norm", "entropy", "margin", "time_corrected", "rarity")


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A cell beside other runs of the same seeds. table: where it stands."""

    cell: Cell
    found: Comparison
    table: Table

    @property
    def outcome(self) -> str:
        return self.found.outcome

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
        """The same for cells of several tables that are trained and judged alike."""
        name = self.cell.metric and self.cell.metric.name
        return f"{name} {_setting(self.cell, 'seed', 'logger', 'plugins')}"


def against_full(table: Table, cells: Cells) -> list[Effect]:
    """Return what prunes anything beside full data, in the order of the table."""
    return [effect for effect in all_against_full(table, cells) if effect.cell.pruned_percent]


def all_against_full(table: Table, cells: Cells) -> list[Effect]:
    """Return the same with what prunes nothing: A/A rows, and all data for fewer epochs."""
    return [
        Effect(cell=cell, found=cell.versus, table=table)
        for column in cells.values()
        for cell in column
        if cell.versus is not None
    ]


def against_random(table: Table, cells: Cells) -> list[Effect]:
    """Return what uses scores beside the row of its column that differs in nothing but random scores.

    Only where both prune the same, within a point: a method that prunes more differs by that too. Nor does it
    matter by which target a control was brought to that. What weighs the loss of each sample is set beside
    candidates or scores drawn at random that do as well, where those were run. All of the table are one
    family, see `statistics.corrected`.
    """
    return _against(table, cells, PRUNED_AT_RANDOM, RANDOM_OWN_LOSS, RANDOM)


def against_stale(table: Table, cells: Cells) -> list[Effect]:
    """Return the same beside scores that know only how long a sample was left out."""
    return _against(table, cells, STALE)


def _against(table: Table, cells: Cells, *names: str) -> list[Effect]:
    """Set what weighs losses of samples beside the first control its column has, others beside the last."""
    pairs = []
    for column in cells.values():
        controls: dict[tuple[str, str | None], list[Cell]] = {}
        for cell in column:
            for under in {_under(cell, exactly=False), _under(cell, exactly=True)}:
                controls.setdefault((under, _kind(cell)), []).append(cell)
        for cell in column:
            kind = _kind(cell)
            fitting = [
                control
                for name in (names if kind in OWN_LOSS else names[-1:])
                for exactly in (True, False)
                for control in controls.get((_under(cell, exactly), name), ())
                if _alike(cell, control)
            ]
            if fitting and fitting[0] is not cell and kind not in (PRUNED_AT_RANDOM, RANDOM_OWN_LOSS, RANDOM):
                pairs.append((cell, fitting[0]))
    found = statistics.corrected([_compare(cell, control) for cell, control in pairs])
    return [
        Effect(cell=cell, found=one, table=table) for (cell, _), one in zip(pairs, found, strict=True) if one
    ]


def _compare(cell: Cell, control: Cell) -> Comparison | None:
    if cell.metric is None:
        return None
    if cell.rule is None:
        return statistics.compare(cell.values, control.values, None, cell.metric.better)
    return sequential.latest(Pair(cell.values, control.values, None, cell.metric.better), cell.rule)


def distinct(effects: Iterable[Effect]) -> list[Effect]:
    """Keep one of the effects whose cells are trained and judged alike: that of most seeds."""
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


def one_by_one(effects: Iterable[Effect]) -> dict[str, int]:
    """Return how many 95% intervals, from three seeds on, lie on the better and the worse side of zero.

    Not corrected: chance alone puts one in forty on each side.
    """
    sides = [effect.found.side for effect in effects]
    return {side: sides.count(side) for side in (BETTER, WORSE)}


def is_control(cell: Cell) -> bool:
    """Whether no loss decided what was pruned: nothing, at random, by the time since last trained."""
    if cell.pruned_percent == 0:
        return True
    pruner = next(iter(cell.runs.values())).config["pruner"] if cell.runs else {}
    at_random = pruner.get("_target_") in ("random", "static_random") or pruner.get("prune") == "random"
    return at_random or _scorer(cell) in CONTROLS


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


def _kind(cell: Cell) -> str | None:
    """Return the scorer of a cell, or that it takes its candidates at random; None where it has no scores."""
    pruner = next(iter(cell.runs.values())).config["pruner"] if cell.runs else {}
    return PRUNED_AT_RANDOM if pruner.get("prune") == "random" else _scorer(cell)


def _under(cell: Cell, exactly: bool) -> str:
    """Return all that a cell shares with its control, as a text; if not exactly, the target may differ."""
    config = next(iter(cell.runs.values())).config if cell.runs else {}
    pruner = config.get("pruner", {})
    pruner = pruner | ({"prune": "below"} if pruner.get("prune") == "random" else {})
    pruner = pruner | ({} if exactly else {"target": None})
    shared = {key: value for key, value in config.items() if key not in ("seed", "scorer")}
    return json.dumps(shared | {"pruner": pruner}, sort_keys=True)


def _setting(cell: Cell, *left_out: str) -> str:
    """Return what a cell's runs were told as a text, less the groups that are left out."""
    config = next(iter(cell.runs.values())).config if cell.runs else {}
    return json.dumps({key: value for key, value in config.items() if key not in left_out}, sort_keys=True)
