"""Tiny runs of detection in the test's own process, stopped where a test wants it."""

import json
from pathlib import Path

import pytest

from bls_bench.data.columns import Ragged
from bls_bench.engine import session
from bls_bench.system.stopping import Interrupted

from ...helpers import make_config

# 24 scenes of 32 pixels, three epochs of three steps.
TINY = (
    "task=detection",
    "scorer=bls",
    "dataset.images=24",
    "dataset.image_size=32",
    "trainer.epochs=3",
    "trainer.batch_size=8",
    "logger=none",
)


class StopAt:
    """Stands in for a signal that comes after the given number of steps of the whole run."""

    number = 15

    def __init__(self, steps):
        self.steps = steps

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def received(self, step, steps, device):
        self.steps -= 1
        return self.steps == 0


def train(records, *overrides, tiny=TINY):
    """Train a tiny run; returns its result and the lines of its metrics."""
    config = make_config(*tiny, f"records={records}", *overrides)
    result = session.run(config)
    return result, metrics(Path(records) / config.key)


def stopped(records, steps, monkeypatch, *overrides, tiny=TINY):
    """Start the run and stop it after so many steps."""
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(session, "StopSignal", lambda: StopAt(steps))
        train(records, *overrides, tiny=tiny)


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times(value):
    """Drop what differs between two equal runs: seconds and memory."""
    if isinstance(value, list):
        return [without_times(item) for item in value]
    measured = ("seconds", "per_second", "_mib")
    return {key: item for key, item in value.items() if not key.endswith(measured)}


def columns_of(scenes, indices):
    """Return the columns of some scenes as a batch of a data set with masks has them."""
    labels = Ragged(scenes.digits.values + 1, scenes.digits.starts)
    whole = {"images": scenes.images, "boxes": scenes.boxes, "labels": labels, "masks": scenes.masks}
    return {name: column[indices] for name, column in whole.items()}
