"""`scores-matter`: a table and a figure of what scores are worth over random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bls_bench.experiments.scores import NAME, SCALES, Cell, Grid
from bls_bench.records import cells
from bls_bench.records.cells import CellLine
from bls_bench.report.statistics import Comparison, compare

METRIC = "balanced_accuracy"
# What the figure shows: each setting with the network that comes first in it, so many panels a row.
PRUNER, RATE = "selective_backprop", 50
PANELS = 4
CONTROLS = ("random", "random_per_sample")

Block = tuple[str, str, int]  # model, pruner, rate


class Measured:
    """What was measured of each cell; lines that are older than the last of their cell's key do not count."""

    def __init__(self, lines: Sequence[CellLine]) -> None:
        self._lines = lines
        self._keys = {tuple(line.cell.values()): line.key for line in lines}

    def values(self, cell: Cell, name: str = METRIC) -> dict[int, float]:
        """Return the values of a cell by seed; none for one that was not run."""
        key = self._keys.get(tuple(cell.names.values()))
        return {} if key is None else cells.by_seed(list(self._lines), key, name)

    def effect(self, cell: Cell, control: Cell) -> Comparison | None:
        """Compare a cell with its control, paired by seeds; None where one of them is missing."""
        return compare(self.values(cell), self.values(control), None, "higher")


def render(grid: Grid, results: Path) -> list[str]:
    """Write table and figure into the results folder; returns a line for each damaged line of the records."""
    measured, problems = read(grid, results)
    for folder in ("tables", "figures"):
        (results / folder).mkdir(parents=True, exist_ok=True)
    page(grid, results).write_text(markdown(grid, measured))
    figure = draw(grid, measured)
    figure.savefig(results / "figures" / f"{grid.stem}.png", dpi=150, metadata={"Software": None})
    figure.savefig(results / "figures" / f"{grid.stem}.pdf", metadata={"CreationDate": None})
    plt.close(figure)
    return problems


def page(grid: Grid, results: Path) -> Path:
    """Return the file of the table."""
    return results / "tables" / f"{grid.stem}.md"


def read(grid: Grid, results: Path) -> tuple[Measured, list[str]]:
    """Return what was measured, and a line for each damaged line of the records."""
    lines, problems = cells.read(grid.records(results))
    return Measured(lines), problems


def blocks(grid: Grid) -> dict[Block, list[Cell]]:
    """Return the cells by network, pruner and rate, in the order of the grid."""
    found: dict[Block, list[Cell]] = {}
    for cell in grid.cells:
        found.setdefault((cell.model, cell.pruner, cell.rate), []).append(cell)
    return found


def markdown(grid: Grid, measured: Measured) -> str:
    """Write a table for each block that has scorers, and one for the pruners without."""
    command = f"make {NAME}" if grid.scale == SCALES[0] else f"make {NAME} SCALE={grid.scale}"
    parts = [
        "# When scores matter",
        "Points of balanced accuracy over random scores under the same pruner at the same pruned %, with the "
        "95% interval of the paired differences, not corrected for how many there are. Bold: the interval "
        "does not hold 0. In brackets: the share of what the losses of the samples gain, where that is above "
        "0; it is a measure and no ceiling, since weights and noise can make another score better. "
        f"`{command}`",
        "Columns that name no data are scikit-learn's digits, and CIFAR-10 is `cifar10-jpeg`; "
        "[the settings](../../bls_bench/experiments/scores_matter.yaml) have sizes, networks and epochs. "
        "Where a method weighs losses (InfoBatch, RePB, importance sampling), the losses of the samples are "
        "set beside random scores with weights for each sample, and all others beside random scores with "
        "batch losses. Where InfoBatch leaves out 70% its choice does not depend on the scores: its rows of "
        "batch losses then show differences of 0. [Kalman](../../docs/methods/kalman.md) and "
        "[Kalman with classes](../../docs/methods/kalman_classes.md) have constants that were chosen on some "
        "of these settings, which their pages name. The scores: "
        "[BLS](../../docs/methods/bls.md), [centred](../../docs/methods/bls_centered.md), "
        "[residual](../../docs/methods/residual.md), [stale](../../docs/methods/stale.md), "
        "[rarity](../../docs/methods/rarity.md).",
        f"![effect over random scores](../figures/{grid.stem}.png)",
    ]
    for (model, pruner, rate), found in blocks(grid).items():
        if any(cell.scorer not in CONTROLS for cell in found):
            head = f"{grid.label('pruners', pruner)}, {rate}% pruned, {grid.label('models', model)}"
            table = _effects(grid, measured, found)
            parts += [f"## {head}", table] if table else []
    for model, label in grid.labels("models").items():
        if levels := _levels(grid, measured, model):
            parts += [f"## Without scores, {label}", levels]
    return "\n\n".join(parts) + "\n"


def finding(grid: Grid, measured: Measured) -> str:
    """Return the effects of three kinds of scores in the first setting that was run, in a sentence."""
    for cell in _shown(grid):
        wanted = {name: cell._replace(scorer=name) for name in ("per_sample", "kalman", "bls7")}
        effects = {name: measured.effect(one, grid.control(one)) for name, one in wanted.items()}
        told = [
            f"{grid.label('scorers', name)} {one.difference:+.2f} "
            f"[{one.low:+.2f}, {one.high:+.2f}] (n={one.n})"
            for name, one in effects.items()
            if one and one.low is not None
        ]
        if len(told) == len(wanted):
            return (
                f"Points of balanced accuracy over random scores, {grid.label('settings', cell.setting)}, "
                f"{grid.label('pruners', PRUNER)}, {RATE}% pruned, {grid.label('models', cell.model)}: "
                f"{', '.join(told)}. The Kalman filter's constants were chosen on this setting."
            )
    return ""


def _effects(grid: Grid, measured: Measured, found: Sequence[Cell]) -> str:
    """Rows by scorer, columns by setting, those alone in which something was run; empty without any."""
    scorers = [name for name in grid.names["scorers"] if any(cell.scorer == name for cell in found)]
    columns: dict[str, list[str]] = {}
    for setting in dict.fromkeys(cell.setting for cell in found):
        cells = [found[0]._replace(setting=setting, scorer=scorer) for scorer in scorers]
        texts = [
            _level(measured, cell) if cell.scorer in CONTROLS else _effect(grid, measured, cell)
            for cell in cells
        ]
        if any(texts):
            head = f"{grid.label('settings', setting)} ({_seeds(measured, found, setting)})"
            columns[head] = texts
    labels = [grid.label("scorers", scorer) for scorer in scorers]
    rows = [list(row) for row in zip(labels, *columns.values(), strict=True)]
    return _table(["scores", *columns], rows) if columns else ""


def _effect(grid: Grid, measured: Measured, cell: Cell) -> str:
    found = measured.effect(cell, grid.control(cell))
    if found is None or found.low is None or found.high is None:
        return ""
    half = (found.high - found.low) / 2
    text = f"{found.difference:+.2f} ± {half:.2f}"
    ceiling = share_of_ceiling(grid, measured, cell)
    if cell.scorer != "per_sample" and ceiling is not None:
        text += f" ({ceiling:.0%})"
    return text if found.low <= 0 <= found.high else f"**{text}**"


def share_of_ceiling(grid: Grid, measured: Measured, cell: Cell) -> float | None:
    """Return a cell's effect as a share of that of per-sample losses; None where that is not above 0."""
    top = cell._replace(scorer="per_sample")
    own = measured.effect(cell, grid.control(cell))
    best = measured.effect(top, grid.control(top))
    if own is None or best is None or best.low is None or best.low <= 0:
        return None
    return own.difference / best.difference


def _level(measured: Measured, cell: Cell) -> str:
    values = measured.values(cell).values()
    return f"{fmean(values):.2f}%" if values else ""


def _seeds(measured: Measured, found: Sequence[Cell], setting: str) -> str:
    lengths = (len(measured.values(cell)) for cell in found if cell.setting == setting)
    counts = [length for length in lengths if length] or [0]
    return f"{min(counts)} seeds" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)} seeds"


def _levels(grid: Grid, measured: Measured, model: str) -> str:
    """The balanced accuracy of the pruners that look at no score, 0% is full data; empty if none was run."""
    found = [cell for cell in grid.cells if cell.pruner in ("random", "rs2") and cell.model == model]
    settings = list(dict.fromkeys(cell.setting for cell in found))
    rows = []
    for pruner, rate in sorted(dict.fromkeys((cell.pruner, cell.rate) for cell in found), key=lambda p: p[1]):
        own = [found[0]._replace(setting=setting, pruner=pruner, rate=rate) for setting in settings]
        levels = [_level(measured, cell) for cell in own]
        if any(levels):
            rows.append([f"{grid.label('pruners', pruner)}, {rate}%", *levels])
    head = ["pruner", *(grid.label("settings", name) for name in settings)]
    return _table(head, rows) if rows else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)


def _shown(grid: Grid) -> list[Cell]:
    """Return the cells of the figure, by setting."""
    found = [cell for cell in grid.cells if (cell.pruner, cell.rate) == (PRUNER, RATE)]
    models: dict[str, str] = {}
    for cell in found:
        models.setdefault(cell.setting, cell.model)
    return [cell for setting, model in models.items() for cell in found if cell[:2] == (setting, model)]


def draw(grid: Grid, measured: Measured) -> Figure:
    """Draw the effects over random scores, a panel a setting; the band reaches to the per-sample effect."""
    found = _shown(grid)
    run = [cell for cell in found if measured.values(cell)] or found
    settings = list(dict.fromkeys(cell[:2] for cell in run))
    scorers = [
        name
        for name in grid.names["scorers"]
        if name not in CONTROLS and any(cell.scorer == name for cell in found)
    ]
    rows, columns = -(-len(settings) // PANELS), min(len(settings), PANELS)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(2.6 * columns + 1.4, 3.2 * rows + 0.4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[len(settings) :]:
        axis.set_axis_off()
    for axis, (setting, model) in zip(axes.flat, settings, strict=False):
        own = {name: found[0]._replace(setting=setting, model=model, scorer=name) for name in scorers}
        _panel(axis, {name: measured.effect(cell, grid.control(cell)) for name, cell in own.items()})
        axis.set_title(f"{grid.label('settings', setting)}\n{grid.label('models', model)}", fontsize=9)
    axes[0, 0].set_yticks(range(len(scorers)), [grid.label("scorers", name) for name in scorers])
    axes[0, 0].invert_yaxis()
    head = f"What scores are worth: {grid.label('pruners', PRUNER)}, {RATE}% pruned"
    figure.suptitle(head, fontsize=11)
    figure.supxlabel("points of balanced accuracy over random scores, 95% interval", fontsize=10)
    return figure


def _panel(axis: Axes, effects: Mapping[str, Comparison | None]) -> None:
    axis.axvline(0, color="0.4", linewidth=1)
    ceiling = effects["per_sample"]
    if ceiling is not None:
        axis.axvspan(0, ceiling.difference, color="C0", alpha=0.08, linewidth=0)
    for place, (name, effect) in enumerate(effects.items()):
        if effect is None or effect.low is None or effect.high is None:
            continue
        colour = {"per_sample": "C0", "kalman": "C2", "stale": "0.5", "rarity": "0.5"}.get(name, "C1")
        axis.plot([effect.low, effect.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axis.plot(effect.difference, place, "o", color=colour, markersize=5)
    axis.tick_params(labelsize=9)
    axis.grid(axis="x", alpha=0.3)
