"""The code blocks of the documentation."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "bls_bench" / "tasks").glob("*/README.md")),
]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"python -m bls_bench\.train (?:[^`\n\\]|\\\n)*")


class Block(NamedTuple):
    """A code block: its language, the file that it is to be saved as, and its text."""

    language: str
    title: str | None
    text: str


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page):
    """Return the code blocks of a page in order."""
    found = []
    for head, text in BLOCK.findall(page.read_text()):
        title = re.search(r'title="([^"]+)"', head)
        found.append(Block(head.split(" ")[0], title and title[1], text))
    return found


def commands(page):
    """Return the train commands of a page as words after the module's name, comments left out."""
    lines = [command.replace("\\\n", " ") for command in COMMAND.findall(page.read_text())]
    return [shlex.split(line, comments=True)[3:] for line in lines]
