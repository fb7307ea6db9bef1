"""Runs of any task inside the test's own process, stopped and resumed."""

import json
from pathlib import Path

import pytest
import torch

from bls_bench.config.compose import composed
from bls_bench.config.run import load
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.engine.session import run
from bls_bench.system.stopping import Interrupted


def make_config(*overrides):
    """Return the config as the train command makes it from these words."""
    overrides = ("logger=none", "trainer.device=cpu", *overrides)
    return load(composed(overrides), typed={one.lstrip("+~").partition("=")[0] for one in overrides})


def make_engine(*overrides):
    config = make_config(*overrides)
    return Engine(config, config.dataset.load(config.seed), make_fabric(config.trainer))


def train(records, *overrides):
    """Train a run; returns its result, the lines of its metrics and its weights."""
    config = make_config(f"records={records}", *overrides)
    result = run(config)
    folder = Path(records) / config.key
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return without_times(result), without_times(lines), torch.load(folder / "model.pt")


class StopAt:
    """Stands in for a signal that comes after the given number of steps of the whole run; -1: never."""

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


def train_in_two_goes(steps, records, *overrides):
    """Train a run that is stopped after so many steps and gone on with."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted, match=r"step \d+ of"):
        patch.setattr("bls_bench.engine.session.StopSignal", lambda: StopAt(steps))
        run(make_config(f"records={records}", *overrides))
    torch.manual_seed(99)  # what another run in the same process leaves behind
    return train(records, *overrides)


def without_times(value):
    """Drop what differs between two equal runs: seconds and memory."""
    if isinstance(value, list):
        return [without_times(item) for item in value]
    measured = ("seconds", "per_second", "_mib")
    return {key: item for key, item in value.items() if not key.endswith(measured)}


def equal_weights(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def assert_same(one, other):
    """Two runs as `train` returns them are equal to the bit."""
    assert one[:2] == other[:2]
    assert equal_weights(one[2], other[2])
