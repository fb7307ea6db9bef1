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
from bls_bench.records.archive import Archive
from bls_bench.train import main
from tests.helpers import exit_code
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


def test_a_run_that_lacks_the_losses_asked_for_is_to_be_trained(tmp_path):
    plain, asked = {"seed": 0}, {"seed": 0, "trainer.save_losses": True}
    write_record(tmp_path, "a")
    assert sweep.lacking(Archive(tmp_path), {"a": plain, "b": plain}) == ({"b": plain}, [])
    assert sweep.lacking(Archive(tmp_path), {"a": asked}) == ({"a": asked}, [])
    (tmp_path / "losses").mkdir()
    (tmp_path / "losses" / "a.npy").touch()
    assert sweep.lacking(Archive(tmp_path), {"a": asked}) == ({}, [])


def test_a_run_whose_lines_are_at_odds_is_told_of_and_not_trained(tmp_path):
    for key, value in (("a", 78.0), ("a", 77.0), ("b", 78.0)):
        write_record(tmp_path, key, value)
    missing, (line,) = sweep.lacking(Archive(tmp_path), {"a": {}, "b": {}, "c": {}})
    assert missing == {"c": {}}
    assert "contradict each other on run a" in line


@pytest.mark.parametrize(
    ("text", "word"), [('{"status": "failed"}', "failed"), ("{", "missing"), ("[]", "missing")]
)
def test_what_became_of_a_run_that_is_not_archived(tmp_path, text, word):
    assert sweep.status(tmp_path) == "missing"
    (tmp_path / "result.json").write_text(text)
    assert sweep.status(tmp_path) == word


def finished(folder):
    return sorted(Archive(folder))


LAUNCHER = """#!{python} -S
import os, pathlib, signal, time
here = pathlib.Path(__file__).parent
if os.fork():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.wait()
else:
    def stop(number, _):
        (here / "telling").write_text(str(number))
        (here / "telling").rename(here / "told")  # never seen empty
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
        sweep._train({"seed": ("0",)}, tmp_path, "joblib")
    assert stopped.value.code == 128 + number
    assert signal.getsignal(number) is before
    wait_for("told")
    assert (tmp_path / "told").read_text() == str(number)


class InThisProcess:
    """Stands for a process that trains, and spares its imports."""

    def __init__(self, command, process_group):
        self.words = command[3:]

    def wait(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["bls_bench.train", *self.words])
            return exit_code(main)


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_goes_on_and_reports_its_failure(tmp_path, monkeypatch):
    use_fixture_tables(monkeypatch)
    monkeypatch.chdir(tmp_path)
    table = spec.load("mini", "digits")
    # More samples to a batch than there are: refused only when the run is built, and first in the sweep.
    bad = spec.Row(label="Too large", overrides={"pruner": "none", "trainer.batch_size": 4096})
    refused = spec.Row(label="Refused", overrides={"pruner": "none", "trainer.epochs": 0})
    table = dataclasses.replace(table, rows=[bad, table.rows[0], refused])
    results = tmp_path / "results"
    folder = results / "digits"

    class Killed(subprocess.Popen):
        """Killed by the system as soon as its first run is finished."""

        def wait(self, timeout=None):
            while self.poll() is None and not finished(folder):
                time.sleep(0.01)
            self.kill()
            return super().wait()

    monkeypatch.setattr(sweep, "subprocess", SimpleNamespace(Popen=Killed))
    with pytest.raises(SystemExit) as stopped:
        sweep.run(table, [0, 1], results=results, launcher="basic")
    assert stopped.value.code == 137
    (first,) = finished(folder)
    before = Archive(folder).get(first)

    monkeypatch.setattr(sweep, "subprocess", SimpleNamespace(Popen=InThisProcess))
    problems = sweep.run(table, [0, 1], results=results, launcher="basic")
    keys = manifest.read(manifest.path(results, "mini", "digits"))
    assert finished(folder) == sorted(keys["Full", "ResNet-18"].values())
    assert Archive(folder).get(first) == before
    assert len(problems) == 3
    assert "Refused" in problems[0]
    assert all("trainer.batch_size=4096" in problem for problem in problems[1:])

    # Nothing is left to train, so no process is started; seeds asked for before stay in the table.
    monkeypatch.setattr(sweep, "subprocess", None)
    assert (
        sweep.run(dataclasses.replace(table, rows=table.rows[1:2]), [0], results=results, launcher="basic")
        == []
    )
    assert set(manifest.read(manifest.path(results, "mini", "digits"))["Full", "ResNet-18"]) == {0, 1}
