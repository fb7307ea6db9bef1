"""The examples run as they are shown, all but the plain one on two processes."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bls_bench import InfoBatch

from .helpers import Planted, bls, loader_of

ROOT = Path(__file__).parents[2]
NEEDS = {
    "plain": "sklearn",
    "ddp": "sklearn",
    "fabric": "lightning_fabric",
    "lightning_trainer": "lightning",
    "accelerate_loop": "accelerate",
    "transformers_trainer": "transformers",
}
# These keep checkpoints in a folder.
TRAINERS = ["lightning_trainer", "accelerate_loop", "transformers_trainer"]


def run(name, processes, *arguments):
    if importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), f"examples/{name}.py", *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    [(accuracy, pruned)] = re.findall(r"accuracy ([\d.]+)%, pruned ([\d.]+)%", done.stdout)
    assert float(accuracy) > 75
    assert float(pruned) > 15
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_it_runs(name, tmp_path):
    folder = [str(tmp_path / "checkpoints")] if name in TRAINERS else []
    run(name, 1 if name == "plain" else 2, *folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.filterwarnings("ignore")
def test_it_goes_on_in_mid_epoch_as_if_never_stopped(name, tmp_path):
    pytest.importorskip(NEEDS[name])
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    model, handler = example.main()
    _, stopped = example.main(tmp_path / "run", 60)
    assert stopped.state.selection is not None
    again, resumed = example.main(tmp_path / "run")
    assert torch.equal(handler.scores.nan_to_num(-1), resumed.scores.nan_to_num(-1))
    assert resumed.pruned_percent == handler.pruned_percent
    assert handler.epoch == resumed.epoch == example.EPOCHS
    for ours, theirs in zip(again.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_loader_that_accelerate_prepares_is_found_out():
    accelerate = pytest.importorskip("accelerate")
    handler = bls(InfoBatch(Planted(203), 5))
    loader = accelerate.Accelerator(cpu=True).prepare(loader_of(handler))
    with pytest.raises(RuntimeError, match="were read before this batch"):
        for _, losses in loader:
            handler.update(losses.mean())


def test_the_examples_are_short():
    for name in [*NEEDS, "ultralytics_yolo"]:
        lines = (ROOT / "examples" / f"{name}.py").read_text().splitlines()
        assert len(lines) <= 85
        assert [number for number in "123" if sum(f"  # {number}" in line for line in lines) != 1] == []
