"""The page of a diagnosis: three lines of words and four plots, in one file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib

matplotlib.use("agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bls_bench.report.diagnosis import LONGEST, Diagnosis, words
from bls_bench.report.page import STYLE, image


def html(title: str, found: Diagnosis, curves: Mapping[str, Sequence[Any]], names: Sequence[str]) -> str:
    """Return the page. names: of the classes, in the order of `Diagnosis.kept_by_class`."""
    told = "".join(f"<li>{escape(line)}</li>" for line in words(found))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<title>What the scores are made of</title>"
        f"<style>{STYLE}</style></head><body>\n<h1>What the scores are made of</h1>\n<p><code>{escape(title)}"
        f"</code></p><ul>{told}</ul>\n{image(draw(found, curves, names), 'plots')}</body></html>\n"
    )


def draw(found: Diagnosis, curves: Mapping[str, Sequence[Any]], names: Sequence[str]) -> Figure:
    """Draw the correlations over the epochs, who is kept, and how often samples are trained on."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    (over_time, by_absence), (by_class, trained) = axes
    _over_time(over_time, curves)
    labels = [*map(str, range(1, LONGEST)), f"{LONGEST}+"]
    _bars(by_absence, labels, found.kept_by_absence, "Share kept, by epochs since last trained on")
    _bars(by_class, names, found.kept_by_class, "Share kept, by class")
    trained.hist(found.epochs_trained, bins=np.arange(found.epochs + 2) - 0.5)
    trained.set_title("Samples by the epochs that trained on them")
    trained.set_xlabel("epochs")
    return figure


def _over_time(axis: Axes, curves: Mapping[str, Sequence[Any]]) -> None:
    for name, label in (
        ("score_loss_spearman", "losses then seen"),
        ("score_absence_spearman", "time left out"),
    ):
        values = [float("nan") if value is None else value for value in curves[name]]
        axis.plot(np.arange(1, len(values) + 1), values, ".-", label=label)
    axis.axhline(0, color="0.4", linewidth=1)
    axis.set_ylim(-1, 1)
    axis.set_title("Rank correlation of the scores used with")
    axis.set_xlabel("epoch")
    axis.legend()


def _bars(axis: Axes, labels: Sequence[str], shares: np.ndarray, title: str) -> None:
    axis.set_title(title)
    if len(shares):
        axis.bar(range(len(shares)), shares)
        axis.set_xticks(range(len(shares)), list(labels), rotation=45 if len(shares) > 12 else 0)
        axis.set_ylim(0, 1)
