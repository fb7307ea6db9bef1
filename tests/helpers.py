"""Configs and runs inside the test's own process, on a few digits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bls_bench.config.compose import composed
from bls_bench.config.run import load
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.engine.session import run
from bls_bench.system.stopping import Interrupted

CPU = torch.device("cpu")
# 100 digits, a small network, three epochs of four steps: well under a second.
TINY = (
    "pruner=none",
    "model=resnet20",
    "dataset.subset=10",
    "trainer.epochs=3",
    "trainer.batch_size=32",
    "logger=none",
)
# A task that has no per-sample losses, as detection or a VAE, and is no classification.
BATCH_LOSS_TASK = ("task._target_=tests.plugin.Brightness", "plugins=[tests.plugin]")


def make_config(*overrides):
    """Return the config as the train command makes it from these words."""
    typed = {override.lstrip("+~").partition("=")[0] for override in overrides}
    return load(composed(overrides), typed=typed)


def make_engine(*overrides):
    config = make_config(*TINY, *overrides)
    return Engine(config, config.load_data(), make_fabric(config.trainer))


def train(records, *overrides):
    """Train a tiny run; returns its result and the lines of its metrics."""
    config = make_config(*TINY, f"records={records}", *overrides)
    result = run(config)
    return result, metrics(Path(records) / config.key)


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


def stop_at(steps, records, *overrides):
    """Train a tiny run that a signal stops after so many steps; returns the Interrupted."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted, match=r"step \d+ of") as caught:
        patch.setattr("bls_bench.engine.session.StopSignal", lambda: StopAt(steps))
        train(records, *overrides)
    return caught.value


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times(value):
    """Drop what differs between two equal runs: seconds and memory."""
    if isinstance(value, list):
        return [without_times(item) for item in value]
    measured = ("seconds", "per_second", "_mib")
    return {key: item for key, item in value.items() if not key.endswith(measured)}


def same_weights(first, second):
    """Whether two folders of records, of one run each, hold the same model bit for bit."""
    one, other = (torch.load(next(path.glob("*/model.pt"))) for path in (first, second))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def exit_code(main):
    """Run a command inside this process; returns the code that it exits with."""
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def command(*arguments, cwd, **environment):
    """Start `python -m bls_bench.train` in a process of its own; returns the Popen object."""
    return start("bls_bench.train", *arguments, cwd=cwd, **environment)


def torchrun(*arguments, cwd):
    """Start the train command in two processes."""
    launcher = ("--nproc-per-node=2", "--standalone", "-m", "bls_bench.train")
    return start("torch.distributed.run", *launcher, *arguments, cwd=cwd)


def start(module, *arguments, cwd, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "NETRC": "/nonexistent", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, timeout=300):
    """Wait for a command; returns exit code, standard output and standard error."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err
