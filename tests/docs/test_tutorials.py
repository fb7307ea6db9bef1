"""The tutorials, run as they are shown: files saved, commands run, code executed, page by page."""

import shlex
import subprocess
import sys

import pytest

from .helpers import TUTORIALS, blocks, name


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=name)
def test_a_tutorial_runs(page, tmp_path):
    script = ""
    for block in blocks(page):
        if block.title:
            (tmp_path / block.title).write_text(block.text)
        elif block.language == "python":
            script += block.text
        elif block.language == "bash":
            for line in block.text.splitlines():
                program, *words = shlex.split(line, comments=True)
                assert program == "python"
                run([sys.executable, *words], tmp_path)
    run([sys.executable, "-c", script], tmp_path)


def run(command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
