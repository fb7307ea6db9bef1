"""The examples run as they are shown, all but the plain one on two processes."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bls_bench import InfoBatch

from .helpers import Planted, bls, loader_of

ROOT = Path(__file__).parents[2]
NEEDS = {
    "plain": "sklearn",
    "ddp": "sklearn",
    "fabric": "lightning_fabric",
    "lightning_trainer": "lightning",
    "accelerate_loop": "accelerate",
}


def run(name, processes):
    if importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), f"examples/{name}.py"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    [(accuracy, pruned)] = re.findall(r"accuracy ([\d.]+)%, pruned ([\d.]+)%", done.stdout)
    assert float(accuracy) > 75
    assert float(pruned) > 15
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_it_runs(name):
    run(name, processes=1 if name == "plain" else 2)


def test_a_loader_that_accelerate_prepares_is_found_out():
    accelerate = pytest.importorskip("accelerate")
    handler = bls(InfoBatch(Planted(203), 5))
    loader = accelerate.Accelerator(cpu=True).prepare(loader_of(handler))
    with pytest.raises(RuntimeError, match="were read before this batch"):
        for _, losses in loader:
            handler.update(losses.mean())


def test_the_examples_are_short():
    for name in NEEDS:
        lines = (ROOT / "examples" / f"{name}.py").read_text().splitlines()
        assert len(lines) <= 75
        assert [number for number in "123" if sum(f"  # {number}" in line for line in lines) != 1] == []
