"""The archive: what was appended is read back, whatever happens to a line costs that line only."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bls_bench.records import archive
from bls_bench.records.archive import EPOCHS, RUNS, Archive, columns, sealed
from bls_bench.system.errors import InputError
from tests.report.helpers import archived

FILES = (RUNS, EPOCHS)


@pytest.fixture
def folder(tmp_path):
    for key in ("a", "b", "c"):
        Archive(tmp_path).append(archived(key))
    return tmp_path


def alter(file, line, change):
    """Replace a line, counted from 1, by what `change` makes of it."""
    lines = file.read_bytes().split(b"\n")
    lines[line - 1] = change(lines[line - 1])
    file.write_bytes(b"\n".join(lines))


def resealed(line, **fields):
    content = json.loads(line)
    del content["sum"]
    return sealed(content | fields).rstrip(b"\n")


def finished(folder):
    found = Archive(folder)
    return [key for key in ("a", "b", "c") if found.result(key)]


def test_what_was_appended_is_read_back(tmp_path):
    whole = archived("a", load=1.5, curves={"loss": [2.3000000000000003, 1e-17], "kept": [100, 50]})
    first = Archive(tmp_path / "new")
    assert first.get("a") is None
    first.append(whole)
    for reader in (first, Archive(tmp_path / "new")):
        assert reader.get("a") == whole
        assert reader.result("a") == whole.result
        assert (list(reader), reader.problems) == (["a"], [])


def test_losses_that_were_kept_lie_beside_it(tmp_path):
    np.save(tmp_path / "losses.npy", np.arange(4))
    store = Archive(tmp_path / "archive")
    store.append(archived("a"), tmp_path / "losses.npy")
    store.append(archived("b"))
    assert np.load(store.losses("a")).tolist() == [0, 1, 2, 3]
    assert not store.losses("b").exists()


def test_a_line_is_an_object_that_begins_with_its_checksum_and_key(folder):
    for name in FILES:
        for line in (folder / name).read_text().splitlines():
            assert list(json.loads(line))[:2] == ["sum", "key"]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_costs_its_own_line_only(folder, name):
    whole = (folder / name).read_bytes()
    length = len(whole.split(b"\n")[1])
    start = whole.index(b"\n") + 1
    for at in range(start, start + length, 7):
        broken = bytearray(whole)
        broken[at] ^= 1
        (folder / name).write_bytes(broken)
        assert finished(folder) == ["a", "c"]
        assert f"{folder / name}, line 2: damaged" in Archive(folder).problems[0]


@pytest.mark.parametrize("name", FILES)
def test_a_torn_last_line_is_closed_by_the_next_append(folder, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-20])
    assert finished(folder) == ["a", "b"]
    Archive(folder).append(archived("d"))
    assert finished(folder) == ["a", "b"]
    assert Archive(folder).result("d")
    assert f"{folder / name}, line 3: damaged" in Archive(folder).problems[0]
    Archive(folder).append(archived("c"))
    assert finished(folder) == ["a", "b", "c"]


def test_a_last_line_that_lacks_its_newline_only_is_whole(folder):
    for name in FILES:
        (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    Archive(folder).append(archived("d"))
    assert (finished(folder), list(Archive(folder))) == (["a", "b", "c"], ["a", "b", "c", "d"])
    assert Archive(folder).problems == []


def test_killed_between_the_two_lines_a_run_is_not_finished(folder, monkeypatch):
    def killed(path, line):
        if path.name == RUNS:
            raise KeyboardInterrupt
        append(path, line)

    append = archive.append_line
    monkeypatch.setattr(archive, "append_line", killed)
    with pytest.raises(KeyboardInterrupt):
        Archive(folder).append(archived("d"))
    assert Archive(folder).result("d") is None
    assert Archive(folder).problems == []
    monkeypatch.undo()
    Archive(folder).append(archived("d", seconds=99.0, curves={"train_seconds": [40.0, 59.0]}))
    assert Archive(folder).get("d").curves["train_seconds"] == [40.0, 59.0]


def test_a_run_without_its_curves_is_not_finished_and_told_of(folder):
    alter(folder / EPOCHS, 2, lambda line: b"")
    assert finished(folder) == ["a", "c"]
    assert Archive(folder).problems == [
        f"{folder / RUNS}, line 2: run b has no whole line in {EPOCHS}: {archive.AGAIN}"
    ]


def test_lines_of_one_run_may_differ_in_times_or_tell_more_and_equal_ones_are_one(folder):
    """As they do after two branches were merged, or a run was trained again by newer code."""
    for name in FILES:
        with (folder / name).open("ab") as file:
            file.write((folder / name).read_bytes())
    curves = {"train_seconds": [5.0, 6.0], "score_absence_spearman": [None, 0.5]}
    other = archived("b", seconds=11.0, load=3.0, samples_per_second=7.0, peak_memory_mib=8.0, curves=curves)
    Archive(folder).append(other)
    assert (finished(folder), Archive(folder).problems) == (["a", "b", "c"], [])
    assert Archive(folder).get("b") == other


@pytest.mark.parametrize(
    ("name", "record"),
    [
        (RUNS, archived("b", num_samples=99)),
        (RUNS, archived("b", pruned=30.0)),
        (EPOCHS, archived("b", curves={"score_loss_spearman": [None, 0.26]})),
    ],
)
def test_lines_that_contradict_each_other_are_named_and_cost_their_run_only(folder, name, record):
    Archive(folder).append(record)
    message = rf"{name}, lines 2 and 4: they contradict each other on run b: delete the wrong one"
    with pytest.raises(InputError, match=message):
        Archive(folder).result("b")
    assert Archive(folder).result("a")
    assert Archive(folder).result("c")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"schema": 1}, "has schema 1, this version reads 2"),
        ({"key": "another"}, "has the result of run another"),
        ({"status": "failed", "error": "loss is nan"}, "is failed: loss is nan"),
        ({"accuracy_last": None}, "does not say accuracy_last as it should"),
        ({"train_seconds": "2", "num_samples": None}, "does not say num_samples, train_seconds as it should"),
        ({"metrics": []}, "does not say metrics"),
        ({"metrics": [{"name": "accuracy"}]}, "does not say metrics"),
        ({"epochs": 3}, "does not say accuracy of each of its 3 epochs"),
    ],
)
def test_a_record_that_is_not_whole_is_neither_archived_nor_read(folder, fields, words):
    record = archived("d", **fields)
    before = [(folder / name).read_bytes() for name in FILES]
    with pytest.raises(InputError, match=f"run d {words}"):
        Archive(folder).append(record)
    assert before == [(folder / name).read_bytes() for name in FILES]
    alter(folder / RUNS, 2, lambda line: resealed(line, result={"key": "b"} | archived("b", **fields).result))
    with pytest.raises(InputError, match=rf"{RUNS}, line 2: run b {words}"):
        Archive(folder).get("b")
    assert Archive(folder).result("a")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environments": []}, "does not say its environments"),
        ({"environments": [{"threads": 1}]}, "does not say platform, device_name"),
        ({"curves": {"accuracy": [1.0, 2.0]}}, "does not say pruned_percent_epoch, score_loss_spearman"),
        ({"curves": {"accuracy": ["1", 2.0]}}, "does not say accuracy, pruned_percent_epoch"),
    ],
)
def test_nor_is_one_that_lacks_what_is_read_of_it(tmp_path, change, words):
    with pytest.raises(InputError, match=f"run a {words}"):
        Archive(tmp_path).append(replace(archived("a"), **change))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_not_archived(tmp_path, value):
    for record in (archived("a", loss_last=value), archived("a", curves={"loss": [1.0, value]})):
        with pytest.raises(InputError, match="run a has numbers that are not finite"):
            Archive(tmp_path).append(record)
    assert Archive(tmp_path).result("a") is None


def test_many_processes_append_at_once(tmp_path):
    code = (
        "import sys; from bls_bench.records.archive import Archive; "
        "from tests.report.helpers import archived; folder, process = sys.argv[1:]; "
        "[Archive(folder).append(archived(f'{process}-{number}')) for number in range(20)]"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, tmp_path, str(n)]) for n in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    found = Archive(tmp_path)
    assert sorted(found) == sorted(f"{n}-{i}" for n in range(3) for i in range(20))
    assert found.problems == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"archive=.*file: cannot write there"):
        Archive(tmp_path / "file").append(archived("a"))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / RUNS).mkdir()
    with pytest.raises(InputError, match=rf"{RUNS} cannot be read \(Is a directory\)"):
        Archive(tmp_path).result("a")


def test_lines_reach_the_disk_before_the_run_counts(folder, monkeypatch):
    """The curves first: what says that the run is finished comes last."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    Archive(folder).append(archived("d"))
    assert synced == [(folder / name).stat().st_ino for name in (EPOCHS, RUNS)]


def test_epochs_become_columns():
    assert columns([{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0, "fid": 3.0}]) == {
        "epoch": [0, 1],
        "loss": [2.0, 1.0],
        "fid": [None, 3.0],
    }
