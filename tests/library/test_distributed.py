"""Several processes: equal shares, no sample twice, one merge an epoch, the same scores everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .distributed_worker import CASES, EPOCHS, HUGE, MAKE, N
from .helpers import Planted, planted

pytestmark = [pytest.mark.pruning, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("distributed_worker.py")


def torchrun(folder, job):
    """Run a job of the worker on two processes; returns what each of them saved."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(WORKER), str(folder), job],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def test_shares_scores_and_weights(tmp_path):
    first, second = torchrun(tmp_path, "small")
    assert first.keys() == second.keys() == set(CASES)
    for case in CASES:
        mine, theirs = first[case], second[case]
        check_shares(mine["seen"], theirs["seen"])
        check_bit_equal(mine, theirs)
        check_one_process(case[0], mine, theirs)


def check_shares(mine, theirs):
    """Batches of the same sizes on both processes, and no sample twice."""
    for own, other in zip(mine, theirs, strict=True):
        assert [len(batch) for batch in own] == [len(batch) for batch in other]
        together = torch.cat(own + other)
        assert len(together.unique()) == len(together)


def check_bit_equal(mine, theirs):
    for key in ("scores", "weights", "counts"):
        assert torch.equal(mine[key].nan_to_num(-1), theirs[key].nan_to_num(-1))
    assert mine["percent"] == theirs["percent"]
    assert mine["state"]["epoch"] == theirs["state"]["epoch"] == EPOCHS


def check_one_process(name, mine, theirs):
    """One process that is fed the batches of process 0 and then those of process 1 comes to the same."""
    state = MAKE[name](Planted(N)).state
    for own, other in zip(mine["seen"], theirs["seen"], strict=True):
        selection = state.begin_epoch()
        shared = len(selection) - len(selection) % 2
        assert torch.isin(torch.cat(own + other), selection.indices[:shared]).all()
        for indices in own + other:
            losses = planted(N)[indices]
            state.record(indices, losses if state.scorer.per_sample else losses.mean())
        state.end_epoch()
    assert torch.equal(mine["scores"].nan_to_num(-1), state.scores.nan_to_num(-1))
    assert torch.equal(mine["counts"], state.counts)
    assert mine["percent"] == state.pruned_percent


def test_indices_above_2_to_the_24_are_exact(tmp_path):
    results = torchrun(tmp_path, "huge")
    trained = torch.cat([result["seen"] for result in results]).sort().values
    assert len(trained) == 10_000
    assert (trained > 2**24).sum() > 1000
    assert (trained % 2 == 1)[trained > 2**24].any()  # which float32 would round to even ones
    assert trained.max() < HUGE
    for result in results:
        assert torch.equal(result["known"], trained)
        assert torch.equal(result["scores"], (trained % 1009).float())
