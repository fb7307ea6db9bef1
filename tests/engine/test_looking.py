"""The look page at the end of a run, and by its command."""

import json
import sys

import numpy as np
import pytest

from bls_bench import look
from bls_bench.engine.session import run
from bls_bench.gallery.history import read
from bls_bench.system.errors import InputError
from tests.helpers import (
    BATCH_LOSS_TASK,
    TINY,
    exit_code,
    finish,
    make_config,
    metrics,
    stop_at,
    torchrun,
    train,
    without_times,
)

LOOK = ("trainer.look=true", "trainer.save_model=false", "pruner=bls_infobatch", "trainer.epochs=4")


def history(records):
    (path,) = records.glob("*/look.npz")
    return read(path)


def pages(records):
    return [path.read_text() for path in records.glob("*/look.html")]


def by_command(capsys, monkeypatch, *words):
    """Run the command in this process; returns its exit code and what it prints."""
    monkeypatch.setattr(sys, "argv", ["look", *map(str, words)])
    return exit_code(look.main), "".join(capsys.readouterr())


def test_a_run_ends_with_its_page_and_equal_numbers(tmp_path, capsys):
    plain, _ = train(tmp_path / "plain", *LOOK[1:])
    found, lines = train(tmp_path / "look", *LOOK)
    assert without_times(plain) == without_times(found)
    assert "page: " in capsys.readouterr().out
    kept, about = history(tmp_path / "look")
    counts = [int(kept.kept_in(epoch).sum()) for epoch in range(4)]
    assert counts == [line["trained"] for line in lines]
    assert about["facts"]["pruned"] == f"{found['pruned_percent']:.1f}%"
    (page,) = pages(tmp_path / "look")
    assert "infobatch with bls scores on digits, seed 0" in page


def test_a_stopped_run_has_the_page_of_a_whole_one(tmp_path):
    train(tmp_path / "whole", *LOOK)
    stop_at(6, tmp_path / "parts", *LOOK)
    train(tmp_path / "parts", *LOOK)
    one, other = history(tmp_path / "whole")[0], history(tmp_path / "parts")[0]
    assert np.array_equal(one.kept, other.kept)
    assert np.array_equal(one.scores, other.scores, equal_nan=True)
    assert pages(tmp_path / "whole") == pages(tmp_path / "parts")


def test_a_page_asked_for_in_the_middle_of_a_run_is_refused(tmp_path):
    stop_at(6, tmp_path, *LOOK[1:])
    with pytest.raises(InputError, match="trainer.look must be on from the first epoch"):
        train(tmp_path, *LOOK)
    train(tmp_path, *LOOK[1:])


def test_a_finished_run_without_a_page_is_trained_again_for_one(tmp_path, capsys):
    train(tmp_path, *LOOK[1:])
    train(tmp_path, *LOOK)
    assert "already finished" not in capsys.readouterr().out
    train(tmp_path, *LOOK)
    assert "already finished" in capsys.readouterr().out


def test_an_archived_run_keeps_its_page_and_can_be_looked_at_again(tmp_path, capsys, monkeypatch):
    run(make_config(*TINY, *LOOK, f"records={tmp_path / 'records'}", f"archive={tmp_path / 'archive'}"))
    (before,) = pages(tmp_path / "records")
    for page in tmp_path.glob("records/*/look.html"):
        page.unlink()
    code, said = by_command(capsys, monkeypatch, f"records={tmp_path / 'records'}")
    assert code == 0
    assert "look.html" in said
    assert pages(tmp_path / "records") == [before]


def test_a_task_of_ones_own_and_a_run_in_steps_have_a_page(tmp_path, capsys, monkeypatch):
    words = (*BATCH_LOSS_TASK, "scorer=bls", "pruner=infobatch", "trainer.epochs=null", "trainer.steps=9")
    train(tmp_path, *LOOK[:2], *words)
    (page,) = pages(tmp_path)
    assert '"sheets":[]' in page
    assert by_command(capsys, monkeypatch, f"records={tmp_path}")[0] == 0
    assert pages(tmp_path) == [page]


def test_the_command_lists_the_runs_of_a_folder_and_refuses_in_one_line(tmp_path, capsys, monkeypatch):
    train(tmp_path, *LOOK)
    one = next(tmp_path.iterdir())
    train(tmp_path, *LOOK, "seed=1")
    code, said = by_command(capsys, monkeypatch, f"records={tmp_path}")
    assert code == 2
    assert f"records={tmp_path} has 2 runs, give one of records=" in said
    assert f"records={one} (infobatch with bls scores on digits, seed 0)" in said
    (tmp_path / "empty").mkdir()
    for words, expected in (
        ([f"records={tmp_path / 'empty'}"], "has no run to look at: train it with trainer.look=true"),
        ([f"records={tmp_path / 'nowhere'}"], "nowhere is not a folder"),
        ([], "give the record of a run, as in records=outputs/KEY: got nothing"),
        (["seed=1"], "got seed=1"),
    ):
        code, said = by_command(capsys, monkeypatch, *words)
        assert code == 2
        assert expected in said
        assert said.count("\n") == 1
    assert by_command(capsys, monkeypatch, "--help")[0] == 0


def test_a_history_of_other_data_is_refused(tmp_path, capsys, monkeypatch):
    train(tmp_path, *LOOK)
    (path,) = tmp_path.glob("*/look.npz")
    kept, about = read(path)
    about["config"]["dataset"]["subset"] = 9
    kept.write(path, about)
    code, said = by_command(capsys, monkeypatch, f"records={path.parent}")
    assert code == 2
    assert "was made with 100 training samples, the data set has 90 now" in said


@pytest.mark.slow
def test_two_processes_write_one_page_of_all_samples(tmp_path, capsys, monkeypatch):
    words = (*TINY, *LOOK, "trainer.device=cpu", "records=outputs")
    code, out, err = finish(torchrun(*words, cwd=tmp_path))
    assert code == 0, err
    assert out.count("page: ") == 1
    (folder,) = (tmp_path / "outputs").iterdir()
    kept, about = history(tmp_path / "outputs")
    counts = [int(kept.kept_in(epoch).sum()) for epoch in range(4)]
    assert counts == [line["trained"] for line in metrics(folder)]
    assert kept.scores.shape == (4, json.loads((folder / "result.json").read_text())["num_samples"])
    (page,) = pages(tmp_path / "outputs")
    # The command draws the same page again, in one process alone.
    monkeypatch.setenv("RANK", "1")
    assert by_command(capsys, monkeypatch, f"records={folder}") == (0, "")
    monkeypatch.setenv("RANK", "0")
    assert by_command(capsys, monkeypatch, f"records={folder}")[0] == 0
    assert pages(tmp_path / "outputs") == [page]
    assert about["facts"]["pruned"] in page
