"""Runs of any task inside the test's own process, stopped and resumed."""

from pathlib import Path

import pytest
import torch

from bls_bench.config.compose import composed
from bls_bench.config.run import load
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.engine.session import run
from bls_bench.system.stopping import Interrupted

from ..helpers import StopAt, metrics, without_times


def make_config(*overrides):
    """Return the config as the train command makes it from these words."""
    overrides = ("logger=none", "trainer.device=cpu", *overrides)
    return load(composed(overrides), typed={one.lstrip("+~").partition("=")[0] for one in overrides})


def make_engine(*overrides):
    config = make_config(*overrides)
    return Engine(config, config.load_data(), make_fabric(config.trainer))


def train(records, *overrides):
    """Train a run; returns its result, the lines of its metrics and its weights."""
    config = make_config(f"records={records}", *overrides)
    result, folder = run(config), Path(records) / config.key
    return without_times(result), without_times(metrics(folder)), torch.load(folder / "model.pt")


def train_in_two_goes(steps, records, *overrides):
    """Train a run that is stopped after so many steps and gone on with."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted, match=r"step \d+ of"):
        patch.setattr("bls_bench.engine.session.StopSignal", lambda: StopAt(steps))
        run(make_config(f"records={records}", *overrides))
    torch.manual_seed(99)  # what another run in the same process leaves behind
    return train(records, *overrides)


def assert_same(one, other):
    """Two runs as `train` returns them are equal to the bit."""
    assert one[:2] == other[:2]
    assert one[2].keys() == other[2].keys()
    assert all(torch.equal(value, other[2][name]) for name, value in one[2].items())
