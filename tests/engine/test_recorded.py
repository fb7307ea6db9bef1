"""Classification gives the numbers that it gave before the frame was rebuilt, bit for bit.

expected/classification.json was recorded with the code of version 0.1.0 (SeTa: with version 2 of the pruner),
on machines of several kinds.
Floating-point sums differ between them, so values are compared where a probe of torch alone (arithmetic.py)
says that this machine computes as one of them did.
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
TWO = [name for name in EXPECTED["overrides"] if name.startswith("two_processes")]
QUICK = ("full", "infobatch", "bls_seta", "repb", "static_el2n", "mixup", "accumulate")
RUNS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow, id=name)
    for name in EXPECTED["overrides"]
    if name not in TWO
]


@pytest.fixture(scope="module")
def recorded():
    """What the old code gave on a machine that computes as this one does: by name, the numbers of a run."""
    found = probe()
    if found not in EXPECTED["recorded"]:
        known = ", ".join(f"{key} (torch {value['torch']})" for key, value in EXPECTED["recorded"].items())
        pytest.skip(
            f"no values of a machine that rounds as this one: {found}, torch {torch.__version__}; {known}"
        )
    return EXPECTED["recorded"][found]["runs"]


def expected(recorded, name):
    if name not in recorded:
        pytest.skip(f"no machine that rounds as this one has recorded {name} since it computes otherwise")
    return recorded[name]


def numbers(name, folder):
    """Train a recorded run; returns the digest of its weights and the recorded columns of its epochs."""
    overrides = [*EXPECTED["common"], *EXPECTED["overrides"][name]]
    config = make_config(*overrides, "trainer.device=cpu", f"records={folder / name}")
    run(config)
    record = folder / name / config.key
    lines = metrics(record)
    columns = {column: [line[column] for line in lines] for column in EXPECTED["columns"]}
    return {"weights": digest(torch.load(record / "model.pt", weights_only=True)), **columns}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_the_numbers_of_the_recorded_one(name, recorded, tmp_path):
    assert expected(recorded, name) == numbers(name, tmp_path)


def both(rank, folder):
    """What one of two processes does: process 0 reads what was recorded."""
    found = {}
    for name in TWO:
        overrides = [*EXPECTED["common"], *EXPECTED["overrides"][name]]
        if rank == 0:
            found[name] = numbers(name, folder)
        else:
            run(make_config(*overrides, "trainer.device=cpu", f"records={folder / name}"))
    return found


@pytest.mark.slow
def test_two_processes_have_the_numbers_of_the_recorded_two(recorded, tmp_path):
    found, _ = in_two_processes(both, tmp_path)
    for name in TWO:
        if name in recorded:
            assert found[name] == recorded[name]
