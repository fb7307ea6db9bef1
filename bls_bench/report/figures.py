"""Figures: the metric and pruned % over a setting, and what happened over the epochs."""

import math
from statistics import fmean
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bls_bench.experiments.spec import Table
from bls_bench.records.schema import Metric
from bls_bench.report import numbers, spectra
from bls_bench.report.cells import Cell, Cells
from bls_bench.report.runs import Run

CURVES = {
    "pruned_percent_epoch": "Pruned % of the epoch",
    "score_loss_spearman": "Rank correlation, scores and losses",
}
STYLES = ("-", ":", "--", "-.")


def draw(table: Table, cells: Cells) -> Figure:
    """Draw a table of any kind but table; close it with plt.close."""
    kinds = {
        "figure": over_setting,
        "rates": over_rate,
        "correlation": correlation,
        "spectra": over_frequency,
    }
    return kinds[table.kind](table, cells)


def over_setting(table: Table, cells: Cells) -> Figure:
    """The metric (with the standard deviation over seeds) and pruned % against x, a row for each panel."""
    panels = list(dict.fromkeys(row.panel for row in table.rows if row.panel))
    figure, axes = plt.subplots(
        len(panels), 2, figsize=(9, 3.2 * len(panels)), squeeze=False, layout="constrained"
    )
    for panel, (left, right) in zip(panels, axes, strict=True):
        for number, column in enumerate(table.columns):
            points = [cell for cell in cells[column.label] if cell.row.panel == panel and cell.last]
            at = [cell.row.x for cell in points if cell.row.x is not None]
            _points(left, points, at, f"C{number}", column.header)
            right.plot(
                at,
                [cell.pruned_percent for cell in points],
                "o-",
                color=f"C{number}",
            )
            for full in cells[column.label]:
                if full.row.label == table.baseline and full.last:
                    # One column's dashes fill the gaps of the other's where they coincide.
                    dashes = (4 * number, (4, 4))
                    left.axhline(full.last.mean, color=f"C{number}", linestyle=dashes, linewidth=1)
        left.set(xlabel=panel, ylabel=numbers.label(_metric(cells)))
        right.set(xlabel=panel, ylabel="Pruned %")
    if axes[0, 0].get_legend_handles_labels()[0]:
        _explain_dashes(axes[0, 0], "full data")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(table.heading)
    return figure


def _metric(cells: Cells) -> Metric | None:
    """Return what the first runs of a figure are judged by, as all of them have to be."""
    return next((cell.metric for column in cells.values() for cell in column if cell.metric), None)


def _points(axes: Axes, points: list[Cell], at: list[float], color: str, label: str) -> None:
    if points:
        spreads = [cell.last for cell in points if cell.last]
        axes.errorbar(
            at,
            [spread.mean for spread in spreads],
            [spread.std or 0 for spread in spreads],
            fmt="o-",
            capsize=3,
            color=color,
            label=label,
        )


def over_rate(table: Table, cells: Cells) -> Figure:
    """The metric (with the standard deviation over seeds) against the pruned % reached, a line a row."""
    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    for number, row in enumerate(table.rows):
        points = [cell for column in cells.values() for cell in column if cell.row == row and cell.last]
        if row.label != table.baseline:
            reached = [cell.pruned_percent for cell in points if cell.pruned_percent is not None]
            _points(axes, points, reached, f"C{number}", row.label)
        elif points and points[0].last:  # the same runs in every column
            axes.axhline(points[0].last.mean, color="k", linestyle="--", linewidth=1, label="full data")
    axes.set(xlabel="Pruned % reached", ylabel=numbers.label(_metric(cells)))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    figure.suptitle(table.heading)
    return figure


def _explain_dashes(axes: Axes, label: str) -> None:
    """Say in the legend what the dashed lines are, each of which has the colour of what it belongs to."""
    axes.plot([], [], "k--", linewidth=1, label=label)


def correlation(table: Table, cells: Cells) -> Figure:
    """The rank correlation of scores and losses over the epochs for each alpha, beside the predicted one."""
    count = len(table.columns)
    figure, axes = plt.subplots(1, count, figsize=(7 * count, 4.2), squeeze=False, layout="constrained")
    for column, panel in zip(table.columns, axes[0], strict=True):
        shown = [cell for cell in cells[column.label] if cell.runs]
        for number, cell in enumerate(shown):
            _curve(panel, cell, "score_loss_spearman", color=f"C{number}")
            run = next(iter(cell.runs.values()))
            level = predicted_correlation(run.config["scorer"]["alpha"], _own_batch(run))
            panel.axhline(level, color=f"C{number}", linestyle="--", linewidth=1)
        panel.set(xlabel="Epoch", ylabel=CURVES["score_loss_spearman"], title=column.header)
        panel.xaxis.get_major_locator().set_params(integer=True)
        if shown:
            _explain_dashes(panel, "predicted: 1/sqrt(1 + (B-1)(1-alpha)/(1+alpha))")
            panel.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    figure.suptitle(table.heading)
    return figure


def _own_batch(run: Run) -> int:
    """Return how many samples share a loss: each process scores its own ones by the mean of its own batch."""
    return run.config["trainer"]["batch_size"] // run.environments[-1]["processes"]


def predicted_correlation(alpha: float, batch_size: int) -> float:
    """The correlation of BLS scores with losses that stay the same, in batches drawn afresh.

    batch_size: samples of one process, whose mean loss they share.
    """
    return 1 / math.sqrt(1 + (batch_size - 1) * (1 - alpha) / (1 + alpha))


def over_frequency(table: Table, cells: Cells) -> Figure:
    """Signal and noise of the kept losses: their spectra, one sample's series, what the average removes."""
    figure, axes = plt.subplots(
        len(table.columns), 3, figsize=(15, 4.2 * len(table.columns)), squeeze=False, layout="constrained"
    )
    for column, panels in zip(table.columns, axes, strict=True):
        pairs = [spectra.series(run) for cell in cells[column.label] for run in spectra.kept(cell)]
        if pairs:
            names = ("scaled signal S = l/B", "batch noise N = L - l/B")
            for name, color, values in zip(names, ("C0", "C1"), zip(*pairs, strict=True), strict=True):
                _spectrum(panels[0], np.concatenate(values), name, color)
                # The sample of the first run whose mean loss is the median of all.
                middle = np.argsort(pairs[0][0].mean(1))[len(pairs[0][0]) // 2]
                panels[1].semilogy(
                    range(1, values[0].shape[1] + 1), values[0][middle], color=color, label=name
                )
            _removed(panels[2], pairs)
            for panel in panels:
                panel.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16))
        panels[0].set(xlabel="Frequency, 1/epoch", ylabel="Power spectral density", title=column.header)
        panels[1].set(xlabel="Epoch", ylabel="Loss", title="A representative sample")
        panels[1].xaxis.get_major_locator().set_params(integer=True)
        panels[2].set(xlabel="alpha", ylabel="Power removed %", title="What the moving average removes")
    figure.suptitle(table.heading)
    return figure


def _spectrum(axes: Axes, values: np.ndarray, label: str, color: str) -> None:
    found = spectra.spectrum(values)
    axes.semilogy(found.frequencies, found.mean, color=color, label=f"{label}, mean")
    axes.fill_between(
        found.frequencies,
        found.low,
        found.high,
        color=color,
        alpha=0.2,
        label="10th to 90th percentile of the samples",
    )


def _removed(axes: Axes, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for number, label in enumerate(("of the signal around the epoch's mean", "of the noise around it")):
        deviations = [spectra.around_epoch(pair[number]) for pair in pairs]
        shares = [fmean(spectra.removed(values, alpha) for values in deviations) for alpha in spectra.ALPHAS]
        axes.plot(spectra.ALPHAS, shares, "o-", color=f"C{number}", label=label)
    expected = [spectra.removed_of_white(alpha) for alpha in spectra.ALPHAS]
    axes.plot(spectra.ALPHAS, expected, "k--", label="of white noise: all but (1-alpha)/(1+alpha)")


def curves(table: Table, column: str, cells: Cells) -> Figure:
    """The metric, pruned % and score-loss correlation over the epochs: a line a row, the mean over seeds."""
    shown = [cell for cell in cells[column] if cell.runs]
    metric = next(cell.metric for cell in shown if cell.metric)
    wanted = {metric.name: f"Test {metric.name} {metric.unit}".rstrip()} | CURVES
    height = max(4, 0.5 + 0.2 * len(shown))  # of the legend
    figure, axes = plt.subplots(1, len(wanted), figsize=(15, height), layout="constrained")
    for panel, (name, label) in zip(axes, wanted.items(), strict=True):
        for number, cell in enumerate(shown):
            # Ten colours, then the same ten in another style.
            _curve(panel, cell, name, color=f"C{number % 10}", linestyle=STYLES[number // 10 % len(STYLES)])
        panel.set(xlabel="Epoch", ylabel=label)
        panel.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
    return figure


def _curve(axes: Axes, cell: Cell, name: str, **style: Any) -> None:
    epochs = zip(*(run.curves[name] for run in cell.runs.values()), strict=True)
    means = {}
    for epoch, values in enumerate(epochs, start=1):
        # A run has no correlation before it has scores, and no metric where it was not evaluated.
        known = [value for value in values if value is not None]
        if known:
            means[epoch] = fmean(known)
    axes.plot(list(means.keys()), list(means.values()), label=cell.row.label, linewidth=1.2, **style)
