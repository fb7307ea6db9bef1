"""The runner: every run once, stopped and resumed, one failure that stops nothing."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bls_bench.experiments import manifest, spec, sweep
from bls_bench.train import main
from tests.report.helpers import use_fixture_tables, write_record

cells = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), min_size=1)


@given(st.lists(cells, unique_by=lambda cell: json.dumps(cell, sort_keys=True)))
def test_merged_sweeps_run_every_cell_exactly_once(wanted):
    run = []
    for merged in sweep.merge(wanted):
        products = itertools.product(*merged.values())
        run += [dict(zip(merged, values, strict=True)) for values in products]
    expected = [{key: str(value) for key, value in cell.items()} for cell in wanted]
    assert sorted(map(str, map(sorted, map(dict.items, run)))) == sorted(
        map(str, map(sorted, map(dict.items, expected)))
    )


def test_rows_and_seeds_become_one_sweep():
    rows = [{"pruner": pruner, "seed": seed} for pruner in ("none", "seta") for seed in (0, 1)]
    assert sweep.merge(rows) == [{"pruner": ("none", "seta"), "seed": ("0", "1")}]


def test_the_load_noted_is_the_highest_while_the_run_lasted(tmp_path):
    folder = write_record(tmp_path, "a", 78.0)
    ended = (folder / "result.json").stat().st_mtime
    sweep.note_load(folder, [(ended - 1000, 9.0)])
    assert not (folder / "load.json").exists()
    sweep.note_load(folder, [(ended - 1000, 9.0), (ended + 1, 1.0), (ended + 2, 1.5), (ended + 1000, 9.0)])
    assert json.loads((folder / "load.json").read_text()) == {"load": 1.5}


def test_a_run_that_lacks_the_losses_asked_for_is_not_done(tmp_path):
    folder = write_record(tmp_path, "a", 78.0)
    assert sweep.done(folder, {"seed": 0})
    assert not sweep.done(folder, {"trainer.save_losses": True})
    (folder / "losses.npy").touch()
    assert sweep.done(folder, {"trainer.save_losses": True})
    assert not sweep.done(tmp_path / "b", {})


def finished(records):
    return sorted(path.parent.name for path in records.glob("*/result.json"))


LAUNCHER = """#!{python} -S
import os, pathlib, signal, time
here = pathlib.Path(__file__).parent
if os.fork():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.wait()
else:
    def stop(number, _):
        (here / "told").write_text(str(number))
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    (here / "ready").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize("number", sweep.STOPPING)
def test_a_signal_reaches_every_process_of_a_launcher(number, tmp_path, monkeypatch):
    script = tmp_path / "launcher"
    script.write_text(LAUNCHER.format(python=sys.executable))
    script.chmod(0o700)

    def wait_for(name):
        deadline = time.monotonic() + 60
        while not (tmp_path / name).exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop():
        wait_for("ready")
        os.kill(os.getpid(), number)

    monkeypatch.setattr(sweep.sys, "executable", str(script))
    before = signal.getsignal(number)
    threading.Thread(target=stop).start()
    with pytest.raises(SystemExit) as stopped:
        sweep._train({"seed": ("0",)}, tmp_path, "joblib", [])
    assert stopped.value.code == 128 + number
    assert signal.getsignal(number) is before
    wait_for("told")
    assert (tmp_path / "told").read_text() == str(number)


class InThisProcess:
    """Stands for a process that trains, and spares its imports."""

    def __init__(self, command, process_group):
        self.words = command[3:]

    def wait(self, timeout):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["bls_bench.train", *self.words])
            try:
                main()
            except SystemExit as ended:
                return ended.code
        return 0


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_goes_on_and_reports_its_failure(tmp_path, monkeypatch):
    use_fixture_tables(monkeypatch)
    monkeypatch.chdir(tmp_path)
    table = spec.load("mini", "digits")
    # More samples to a batch than there are: refused only when the run is built, and first in the sweep.
    bad = spec.Row(label="Too large", overrides={"pruner": "none", "trainer.batch_size": 4096})
    refused = spec.Row(label="Refused", overrides={"pruner": "none", "trainer.epochs": 0})
    table = dataclasses.replace(table, rows=[bad, table.rows[0], refused])
    records = tmp_path / "runs"

    class Killed(subprocess.Popen):
        """Killed by the system as soon as its first run is finished."""

        def wait(self, timeout=None):
            while self.poll() is None and not finished(records):
                time.sleep(0.01)
            self.kill()
            return super().wait()

    monkeypatch.setattr(sweep, "subprocess", SimpleNamespace(Popen=Killed))
    with pytest.raises(SystemExit) as stopped:
        sweep.run(table, [0, 1], tmp_path, records, "basic")
    assert stopped.value.code == 137
    (first,) = finished(records)
    before = (records / first / "result.json").stat().st_mtime

    monkeypatch.setattr(sweep, "subprocess", SimpleNamespace(Popen=InThisProcess))
    problems = sweep.run(table, [0, 1], tmp_path, records, "basic")
    keys = manifest.read(manifest.path(tmp_path, "mini", "digits"))
    assert finished(records) == sorted(keys["Full", "ResNet-18"].values())
    assert (records / first / "result.json").stat().st_mtime == before
    assert len(problems) == 3
    assert "Refused" in problems[0]
    assert all("trainer.batch_size=4096" in problem for problem in problems[1:])

    # Nothing is left to train, so no process is started; seeds asked for before stay in the table.
    monkeypatch.setattr(sweep, "subprocess", None)
    assert sweep.run(dataclasses.replace(table, rows=table.rows[1:2]), [0], tmp_path, records, "basic") == []
    assert set(manifest.read(manifest.path(tmp_path, "mini", "digits"))["Full", "ResNet-18"]) == {0, 1}
