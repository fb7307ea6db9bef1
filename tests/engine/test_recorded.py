"""Classification gives the numbers that it gave before the frame was rebuilt, bit for bit.

expected/classification.json was recorded with the code of version 0.1.0. Floating-point sums differ between
machines, so the values are compared where a probe of torch alone (arithmetic.py) says that this one computes
as the recording one did.
"""

import json
from pathlib import Path

import pytest
import torch

from bls_bench.engine.session import run
from tests.helpers import make_config, metrics
from tests.two_processes import in_two_processes

from .arithmetic import digest, probe

EXPECTED = json.loads((Path(__file__).parent / "expected" / "classification.json").read_text())
TWO = [name for name in EXPECTED["runs"] if name.startswith("two_processes")]
QUICK = ("full", "infobatch", "bls_seta", "repb", "static_el2n", "mixup", "accumulate")
RUNS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow, id=name)
    for name in EXPECTED["runs"]
    if name not in TWO
]


@pytest.fixture(scope="module", autouse=True)
def same_arithmetic():
    found, wanted = probe(), EXPECTED["probe"]
    if found != wanted:
        pytest.skip(
            f"the values were recorded by a machine that rounds otherwise (probe {wanted}, here {found}; "
            f"torch {EXPECTED['torch']}, here {torch.__version__})"
        )


def numbers(name, folder):
    """Train a recorded run; returns the digest of its weights and the recorded columns of its epochs."""
    overrides = [*EXPECTED["common"], *EXPECTED["runs"][name]["overrides"]]
    config = make_config(*overrides, "trainer.device=cpu", f"records={folder / name}")
    run(config)
    record = folder / name / config.key
    lines = metrics(record)
    columns = {column: [line[column] for line in lines] for column in EXPECTED["columns"]}
    return {"weights": digest(torch.load(record / "model.pt", weights_only=True)), **columns}


def recorded(name):
    return {key: value for key, value in EXPECTED["runs"][name].items() if key != "overrides"}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_the_numbers_of_the_recorded_one(name, tmp_path):
    assert numbers(name, tmp_path) == recorded(name)


def both(rank, folder):
    """What one of two processes does: process 0 reads what was recorded."""
    found = {}
    for name in TWO:
        overrides = [*EXPECTED["common"], *EXPECTED["runs"][name]["overrides"]]
        if rank == 0:
            found[name] = numbers(name, folder)
        else:
            run(make_config(*overrides, "trainer.device=cpu", f"records={folder / name}"))
    return found


@pytest.mark.slow
def test_two_processes_have_the_numbers_of_the_recorded_two(tmp_path):
    found, _ = in_two_processes(both, tmp_path)
    assert found == {name: recorded(name) for name in TWO}
