"""Configs and runs inside the test's own process, on a few digits."""

import json
import os
import subprocess
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir

from bls_bench.config.compose import CONF_DIR
from bls_bench.config.run import load
from bls_bench.train import run

# 100 digits, a small network, three epochs of four steps: well under a second.
TINY = (
    "pruner=none",
    "model=resnet20",
    "dataset.subset=10",
    "trainer.epochs=3",
    "trainer.batch_size=32",
    "logger=none",
)


def make_config(*overrides):
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return load(compose("config", list(overrides)))


def train(records, *overrides):
    """Train a tiny run; returns its result and the lines of its metrics."""
    config = make_config(*TINY, f"records={records}", *overrides)
    result = run(config)
    return result, metrics(Path(records) / config.key)


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times(value):
    """Drop what differs between two equal runs: seconds and memory."""
    if isinstance(value, list):
        return [without_times(item) for item in value]
    measured = ("seconds", "per_second", "_mib")
    return {key: item for key, item in value.items() if not key.endswith(measured)}


def command(*arguments, cwd, **environment):
    """Start `python -m bls_bench.train` in a process of its own; returns the Popen object."""
    return subprocess.Popen(
        [sys.executable, "-m", "bls_bench.train", *map(str, arguments)],
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
