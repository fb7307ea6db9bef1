"""Memory or a process that is gone ends a run in one line that says what to do."""

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bls_bench.data import files
from bls_bench.engine.learner import Learner
from bls_bench.engine.session import run
from bls_bench.system.errors import ResourceError
from tests.data.helpers import write_tree
from tests.helpers import TINY, finish, make_config, metrics, torchrun, train, without_times

HUGE = 2**55


@pytest.mark.parametrize(
    "allocate", [lambda: torch.empty(HUGE), lambda: np.empty(HUGE), lambda: bytearray(HUGE)]
)
def test_out_of_memory_says_what_to_do_and_the_run_goes_on_later(allocate, tmp_path, monkeypatch):
    steps, learn, often = [], Learner.learn, ("pruner=bls_infobatch", "trainer.checkpoint_seconds=0")

    def greedy(*arguments):
        steps.append(1)
        if len(steps) == 8:  # of four an epoch
            allocate()
        return learn(*arguments)

    whole, lines = train(tmp_path / "whole", *often)
    config = make_config(*TINY, *often, f"records={tmp_path / 'parts'}")
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "learn", greedy)
        with pytest.raises(ResourceError, match=r"^out of memory: .* smaller trainer\.batch_size") as told:
            run(config)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 400
    assert without_times(run(config)) == without_times(whole)
    assert without_times(metrics(tmp_path / "parts" / config.key)) == without_times(lines)


def test_a_dead_worker_says_what_to_do(tmp_path, monkeypatch):
    def killed(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    folder = (
        "dataset=imagefolder",
        f"dataset.root={write_tree(tmp_path / 'tree')}",
        "dataset.in_memory=false",
    )
    run_of = ("pruner=none", "model=resnet20", "trainer.batch_size=4", "trainer.epochs=1", "logger=none")
    monkeypatch.setattr(files, "decode", killed)
    with pytest.raises(
        ResourceError, match=r"^a process that reads data is gone .*dataset\.workers=N"
    ) as told:
        run(make_config(*folder, *run_of, "dataset.workers=1", f"records={tmp_path / 'records'}"))
    assert "\n" not in str(told.value)


def ranks(launcher):
    """Return the processes of torchrun by their rank."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    found = {}
    for child in children:
        rank = re.search(rb"\0RANK=(\d)\0", Path(f"/proc/{child}/environ").read_bytes())
        if rank:
            found[int(rank[1])] = int(child)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_process_that_hangs_ends_the_others_in_time(tmp_path):
    words = ("pruner=none", "model=resnet20", "dataset.subset=50", "trainer.epochs=200", "logger=none")
    words = (*words, "trainer.device=cpu", "trainer.timeout=5", "trainer.checkpoint_seconds=0")
    process = torchrun(*words, cwd=tmp_path)
    try:
        until(lambda: list(tmp_path.glob("outputs/*/checkpoint.pt")), 120)
        hanging = ranks(process)[1]
        os.kill(hanging, signal.SIGSTOP)
        frozen = time.monotonic()
        until(lambda: list(tmp_path.glob("outputs/*/result.json")), 30)
        assert time.monotonic() - frozen < 15
        os.kill(hanging, signal.SIGKILL)  # as torchrun does, half a minute later
        code, _, err = finish(process)
    finally:
        process.kill()
    assert code == 1
    told = re.findall(r"^error: (.*)$", err, re.MULTILINE)
    assert len(told) == 1
    assert "did not answer within trainer.timeout=5 seconds: look whether it hangs" in told[0]
    (result,) = tmp_path.glob("outputs/*/result.json")
    assert json.loads(result.read_text())["status"] == "failed"
    assert (result.parent / "checkpoint.pt").exists()


def until(happens, seconds):
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)
