"""Forest plots: differences with their 95% intervals, a line a method, controls grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from textwrap import fill

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bls_bench.experiments.spec import Table
from bls_bench.report import effects, numbers
from bls_bench.report.cells import Cells
from bls_bench.report.effects import Effect

METHOD, CONTROL, RANDOM = "C0", "0.6", "C1"
# A panel ends at so many times the median of its intervals' ends; what lies beyond has an arrow.
REACH = 4
TITLE = 34  # characters a line


@dataclass(frozen=True)
class Panel:
    """A column: what is beside full data and beside random scores, by the row's label."""

    title: str
    full: dict[str, Effect]
    random: dict[str, Effect]

    @property
    def ends(self) -> list[float]:
        """Both ends of every interval."""
        return [end for one in (*self.full.values(), *self.random.values()) for end in one.interval or ()]


def panels(table: Table, cells: Cells) -> list[Panel]:
    """Return a panel for each column in which anything has an interval."""
    full, random = effects.all_against_full(table, cells), effects.against_random(table, cells)
    found = [
        Panel(column.header, _of(full, column.label), _of(random, column.label)) for column in table.columns
    ]
    return [panel for panel in found if panel.full]


def _of(found: Sequence[Effect], column: str) -> dict[str, Effect]:
    return {
        one.cell.row.label: one
        for one in found
        if one.cell.column.label == column and one.interval is not None
    }


def draw(title: str, shown: Sequence[Panel]) -> Figure:
    """Draw the panels side by side over common rows; there has to be one."""
    labels = list(dict.fromkeys(label for panel in shown for label in panel.full))
    figure, axes = plt.subplots(
        1,
        len(shown),
        figsize=(3 + 2.5 * len(shown), 1.7 + 0.24 * len(labels)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, panel in zip(axes[0], shown, strict=True):
        _panel(axis, panel, labels)
    axes[0, 0].set_yticks(range(len(labels)), labels, fontsize=8)
    axes[0, 0].set_ylim(len(labels) - 0.4, -0.6)
    used = {METHOD: "against full data", CONTROL: "control, against full data"}
    if any(panel.random for panel in shown):
        used[RANDOM] = "against random scores"
    for colour, label in used.items():
        axes[0, 0].plot([], [], "D-" if colour == RANDOM else "o-", color=colour, markersize=4, label=label)
    figure.legend(loc="outside lower center", ncols=len(used), fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, not each time it is saved
    return figure


def _panel(axis: Axes, panel: Panel, labels: Sequence[str]) -> None:
    some = next(iter(panel.full.values())).cell
    reach = max(REACH * median(map(abs, panel.ends)), some.margin or 0)
    low, high = max(min(panel.ends), -reach), min(max(panel.ends), reach)
    pad = 0.05 * (max(high, 0) - min(low, 0))
    axis.set_xlim(min(low, 0) - pad, max(high, 0) + pad)
    if some.margin is not None:
        axis.axvspan(-some.margin, some.margin, color="0.93", linewidth=0)
    axis.axvline(0, color="0.3", linewidth=0.8)
    both = panel.full.keys() & panel.random.keys()
    places = {label: place for place, label in enumerate(labels)}
    for control, colour in ((False, METHOD), (True, CONTROL)):
        own = {label: one for label, one in panel.full.items() if effects.is_control(one.cell) == control}
        _lines(axis, own, [places[label] - 0.15 * (label in both) for label in own], colour, "o")
    shown = {label: one for label, one in panel.random.items() if label in places}
    _lines(axis, shown, [places[label] + 0.2 for label in shown], RANDOM, "D")
    axis.set_title(fill(panel.title, TITLE), fontsize=8)
    axis.set_xlabel(f"Difference of {numbers.label(some.metric)}", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(axis="y", color="0.93", linewidth=0.6)
    axis.set_axisbelow(True)


def _lines(axis: Axes, shown: dict[str, Effect], places: list[float], colour: str, marker: str) -> None:
    left, right = axis.get_xlim()
    ends = [one.interval for one in shown.values() if one.interval]
    axis.hlines(places, [low for low, _ in ends], [high for _, high in ends], color=colour, linewidth=1.4)
    points: dict[str, list[tuple[float, float]]] = {marker: [], "<": [], ">": []}
    for one, place in zip(shown.values(), places, strict=True):
        value = one.found.difference
        kind = "<" if value < left else ">" if value > right else marker
        points[kind].append((min(max(value, left), right), place))
    for kind, at in points.items():
        if at:
            axis.plot(*zip(*at, strict=True), kind, color=colour, markersize=4, clip_on=False)
