"""The README's commands, word for word."""

import shlex
import subprocess
import sys

import pytest

from .helpers import ROOT, blocks

README = ROOT / "README.md"
SHOWN = [block for block in blocks(README) if block.language == "bash"]
LINES = [line for block in SHOWN for line in block.text.splitlines() if not line.startswith("#")]
TRAIN = [line for line in LINES if line.startswith("python")]
MAKE = [line for line in LINES if line.startswith("make")]


def test_it_is_short_and_begins_with_the_two_commands():
    text = README.read_text()
    assert len(text.splitlines()) < 200
    assert [line.split()[:2] for line in LINES[:2]] == [["make", "demo"], ["make", "test"]]
    assert text.index("make demo") < 30
    assert len(MAKE) + len(TRAIN) == len(LINES)


@pytest.mark.parametrize("line", MAKE)
def test_make_knows_the_target(line):
    words = shlex.split(line, comments=True)
    subprocess.run([words[0], "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("line", TRAIN)
def test_a_command_runs_as_it_is_shown(line, tmp_path):
    words = shlex.split(line, comments=True)
    done = subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "--help" not in words and "--cfg" not in words:
        assert "finished: " in done.stdout
        assert list(tmp_path.glob("outputs/*/result.json"))


@pytest.mark.slow
def test_the_library_runs_as_it_is_shown(tmp_path):
    (code,) = [block.text for block in blocks(README) if block.language == "python"]
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout.removeprefix("pruned ").removesuffix("%\n")) < 50


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(ROOT / "examples" / "digits.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    assert (tmp_path / "kept.png").exists()
