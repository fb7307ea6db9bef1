"""Runs of the train command, killed at random moments and started again, are equal to the bit to whole ones.

So many kills as BLS_BENCH_FAULT_KILLS says; `make test-faults` takes 100 over three tasks, in a third of
them of runs of two processes. Without it, three of one task.
"""

import contextlib
import json
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from .helpers import command, finish, metrics, same_weights, torchrun, without_times

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes of a run in /proc"),
]

KILLS = os.environ.get("BLS_BENCH_FAULT_KILLS")
SEED = int(os.environ.get("BLS_BENCH_FAULT_SEED", "0"))
COMMON = ("trainer.checkpoint_seconds=0", "trainer.save_losses=true", "trainer.device=cpu", "logger=none")
TASKS = {
    "classification": ("model=resnet20", "dataset.subset=20", "trainer.epochs=6", "pruner=bls_seta"),
    "detection": (
        *("task=detection", "dataset.images=24", "dataset.image_size=32", "dataset.objects=2"),
        *("trainer.batch_size=8", "trainer.epochs=3", "pruner=bls_infobatch"),
    ),
    "text": (
        *("task=text", "dataset.size=60", "dataset.vocabulary=300", "task.max_length=16", "model.width=16"),
        *("model.layers=1", "trainer.batch_size=16", "trainer.epochs=8", "pruner=bls_infobatch"),
    ),
}
# Task, processes, and how many of nine kills.
CASES = [(task, processes, 3 - processes) for task in TASKS for processes in (1, 2)]


@dataclass
class Killed:
    """Runs of one task in one folder after the other, killed and started again."""

    task: str
    processes: int
    folder: Path
    draw: random.Random

    def start(self, records):
        launch = command if self.processes == 1 else torchrun
        return launch(*COMMON, *TASKS[self.task], f"records={records}", cwd=self.folder)

    def whole(self):
        """Make the run without a kill; returns the seconds that it takes from its first sign of life."""
        process, begun = self.start("whole"), None
        while process.poll() is None:
            if begun is None and list(self.folder.glob("whole/*/environment.jsonl")):
                begun = time.monotonic()
            time.sleep(0.02)
        code, _, err = finish(process)
        assert code == 0, err
        return time.monotonic() - begun

    def attempt(self, records, span):
        """Start a run and kill it at a random moment; returns whether it was killed before its end.

        One in four is killed while it starts, the others within `span` seconds after they began to train.
        """
        signs = self.starts(records)
        process, deadline = self.start(records), time.monotonic() + 120
        if self.draw.random() < 0.25:
            wait = time.monotonic() + self.draw.uniform(0, 8)
        else:
            while self.starts(records) == signs and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            wait = time.monotonic() + self.draw.uniform(0, span)
        while time.monotonic() < wait and process.poll() is None:
            time.sleep(0.005)
        ended = process.poll() is not None
        if not ended:
            self.kill(process)
        code, _, err = finish(process)
        assert not ended or code == 0, err
        return not ended

    def kill(self, process):
        """Kill all processes of a run, or one of several, which ends the others."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        own = list(map(int, children)) if self.processes > 1 else []
        # The launcher ends the ranks that are left, but not once it is dead itself.
        one_rank = own and self.draw.random() < 0.5
        for victim in [self.draw.choice(own)] if one_rank else [process.pid, *own]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)

    def starts(self, records):
        """How many starts a record has noted."""
        return sum(
            len(file.read_text().splitlines()) for file in self.folder.glob(f"{records}/*/environment.jsonl")
        )


@pytest.mark.parametrize(("task", "processes", "share"), CASES)
def test_runs_that_are_killed_and_started_again_are_equal_to_the_bit(task, processes, share, tmp_path):
    if KILLS is None and (task, processes) != CASES[0][:2]:
        pytest.skip("part of `make test-faults`")
    wanted = 3 if KILLS is None else -(-int(KILLS) * share // 9)
    killed = Killed(task, processes, tmp_path, random.Random(f"{SEED} {task} {processes}"))
    span, kills, runs = killed.whole(), 0, 0
    (whole,) = (tmp_path / "whole").iterdir()
    while kills < wanted:
        records = f"parts{runs}"
        while killed.attempt(records, span):
            kills += 1
            if kills == wanted:
                finish(killed.start(records))
                break
        runs += 1
        (folder,) = (tmp_path / records).iterdir()
        assert without_times(metrics(folder)) == without_times(metrics(whole))
        results = [json.loads((path / "result.json").read_text()) for path in (folder, whole)]
        assert without_times(results[0]) == without_times(results[1])
        assert same_weights(tmp_path / records, tmp_path / "whole")
        assert (folder / "losses.npy").read_bytes() == (whole / "losses.npy").read_bytes()
        assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}
        print(f"\n{task}, {processes} process(es): {kills} kills, {runs} runs equal to the bit", flush=True)
