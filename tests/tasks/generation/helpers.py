"""Tiny runs of tasks that generate images."""

import json
from pathlib import Path

import pytest
import torch

from bls_bench.engine.devices import make_fabric
from bls_bench.engine.evaluation import measured
from bls_bench.engine.loop import Engine
from bls_bench.engine.session import run
from bls_bench.system.stopping import Interrupted
from bls_bench.tasks.generation import fixed

from ...helpers import make_config
from ...two_processes import in_two_processes

CPU = torch.device("cpu")
TIMES = ("seconds", "per_second", "_mib")


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


def make_engine(*overrides):
    config = make_config(*overrides)
    return Engine(config, config.dataset.load(config.seed), make_fabric(config.trainer))


def train(records, *overrides):
    """Return the result of a run, the lines of its metrics without what was timed, and its folder."""
    config = make_config(*overrides, f"records={records}")
    result = run(config)
    folder = Path(records) / config.key
    return result, lines_of(folder), folder


def lines_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.endswith(TIMES)} for line in lines]


def assert_resumes(tmp_path, monkeypatch, steps, *overrides):
    """A run stopped in mid-epoch goes on to the same numbers and weights as one that was not."""
    _, whole, folder = train(tmp_path / "whole", *overrides)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("bls_bench.engine.session.StopSignal", lambda: StopAt(steps))
        train(tmp_path / "parts", *overrides)
    torch.manual_seed(99)  # what another run in the same process leaves behind
    _, parts, again = train(tmp_path / "parts", *overrides)
    assert parts == whole
    weights = [torch.load(path / "model.pt") for path in (folder, again)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.fixture
def few_steps(monkeypatch):
    """Features that are hardly trained, for tests of all but their quality."""
    monkeypatch.setattr(fixed, "STEPS", 5)
    monkeypatch.setattr(fixed, "_trained", {})


def measured_untrained(*overrides):
    """What a model is measured at before it is trained, with features that are hardly trained."""
    fixed.STEPS = 5
    engine = make_engine(*overrides, "trainer.device=cpu")
    network, objective = engine.learner.model.module, engine.learner.objective
    return measured(network, objective, engine.data.test, engine.fabric)


def assert_measured_alike(work, folder):
    """Two processes measure what one does; `work(rank, folder)` does it, at the top of its module."""
    found = in_two_processes(work, folder)
    assert found[0] == found[1]
    assert work(0, None) == pytest.approx(found[0], rel=1e-6)
