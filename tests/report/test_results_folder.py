"""What the commands that render refuse: one line, before anything is trained."""

import importlib.util
import sys
from pathlib import Path

import pytest

from bls_bench import tables

SCRIPT = Path(__file__).parents[2] / "scripts" / "scores_matter.py"


def scores_matter():
    spec = importlib.util.spec_from_file_location("scores_matter", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refused(main, words, monkeypatch, capsys):
    """Run a command that exits with 2; returns its last line."""
    monkeypatch.setattr(sys, "argv", ["command", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()[-1].partition("error: ")[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--seeds", "-3"], "--seeds must be at least 1, got -3"),
        (["--cells", "-1"], "--cells must be at least 1, got -1"),
        (["--cells", "0"], "--cells must be at least 1, got 0"),
        (["--jobs", "0"], "--jobs must be at least 1, or -1 for one a core, got 0"),
        (["--jobs", "-2"], "--jobs must be at least 1, or -1 for one a core, got -2"),
    ],
)
def test_numbers_that_mean_nothing(words, message, monkeypatch, capsys, tmp_path):
    words = [*words, "--results", str(tmp_path / "results")]
    assert refused(scores_matter().main, words, monkeypatch, capsys) == message
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("render", [[], ["--render"]])
def test_a_folder_that_cannot_be_made(render, monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    for results in (tmp_path / "file", tmp_path / "file" / "results"):
        words = [*render, "--results", str(results)]
        for main in (scores_matter().main, tables.main):
            told = refused(main, words, monkeypatch, capsys)
            assert told.startswith(f"--results {results}: cannot write there (")
