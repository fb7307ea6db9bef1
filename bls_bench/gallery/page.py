"""One self-contained HTML page of a run's samples, which opens from disk."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from bls_bench.gallery.history import Epoch, Facts, History, facts_of
from bls_bench.gallery.lists import LENGTH, ordered
from bls_bench.gallery.media import Show, collected, encoded
from bls_bench.gallery.shown import named
from bls_bench.system import durable

PARTS = Path(__file__).parent
# Samples on a page: those of lists, and of the others so many, drawn at random.
MOST = 50_000
# Scores of single epochs on a page: of as many epochs, evenly spread, as that makes, within these limits.
SCORES, FEWEST, MOST_EPOCHS = 1_000_000, 2, 40


@dataclass(frozen=True)
class About:
    """What a page says of its run: a title, and names with what they stand for."""

    title: str
    facts: Mapping[str, str]


def write(
    path: Path,
    history: History,
    about: About,
    show: Show,
    targets: np.ndarray | None = None,
    classes: Sequence[str] = (),
) -> Path:
    """Write the page and return its path.

    show: yields how each of some samples is shown. targets: (N,) the class of each, classes: their names.
    """
    # A fixed random order: equal samples are listed at random, and the first so many are a fair part.
    order = np.random.default_rng(0).permutation(history.num_samples)
    facts, labels = facts_of(history).take(order), None if targets is None else targets[order]
    epochs = [
        Epoch(number, history.scores[number][order].astype(np.float32), history.kept_in(number)[order])
        for number in _spread(history)
    ]
    wanted = ordered(facts, epochs, labels)[:MOST]
    rows = np.sort(wanted)
    media = collected(show, order[wanted])
    content = {
        "samples": history.num_samples,
        "epochs": history.epochs,
        "length": LENGTH,
        "classes": [] if targets is None else [named(one, classes) for one in range(int(targets.max()) + 1)],
        "columns": _columns(facts, order, labels, rows),
        "chosen": [_epoch(epoch, rows) for epoch in epochs],
        "media": media,
        # The row of each sample that has something to be seen.
        "places": encoded(np.searchsorted(rows, wanted[: len(media["labels"])]).astype("<u4").tobytes()),
    }
    template = Template((PARTS / "page.html").read_text(encoding="utf-8"))
    text = template.substitute(
        title=html.escape(about.title),
        facts="".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
            for name, value in about.facts.items()
        ),
        style=(PARTS / "page.css").read_text(encoding="utf-8"),
        script=(PARTS / "page.js").read_text(encoding="utf-8"),
        # Within a script element nothing may look like its end.
        data=json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
    )
    durable.write(path, text)
    return path


def _spread(history: History) -> list[int]:
    """Return the numbers of the epochs whose scores a page holds, the last among them."""
    room = SCORES // min(history.num_samples, MOST)
    count = min(max(room, FEWEST), MOST_EPOCHS, history.epochs)
    return sorted(set(np.linspace(history.epochs - 1, 0, count).round().astype(int).tolist()))


def _columns(facts: Facts, order: np.ndarray, labels: np.ndarray | None, rows: np.ndarray) -> dict[str, Any]:
    """Return a column for each thing known of all samples of a page, in base64."""
    columns = {"number": order, "times": facts.times, "absent": facts.absent}
    floats = {"mean": facts.mean, "spread": facts.spread, "excess": facts.excess}
    if labels is not None:
        columns["target"] = labels
    return {name: encoded(values[rows].astype("<u4").tobytes()) for name, values in columns.items()} | {
        name: encoded(values[rows].astype("<f4").tobytes()) for name, values in floats.items()
    }


def _epoch(epoch: Epoch, rows: np.ndarray) -> dict[str, Any]:
    return {
        "number": epoch.number,
        "scores": encoded(epoch.scores[rows].astype("<f2").tobytes()),
        "kept": encoded(np.packbits(epoch.kept[rows]).tobytes()),
    }
