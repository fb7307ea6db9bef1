"""What the documentation shows: code that parses, names that exist, commands that are accepted."""

import ast
from importlib import import_module

import pytest

from bls_bench.config.compose import composed
from bls_bench.config.run import load

from .helpers import PAGES, TUTORIALS, blocks, commands, name

# Words that stand for something of the reader's.
OWN = ("DIR", "FOLDER", "FILE", "NAME", "VALUE", "GROUP", "KEY", "OPTION", "mymodule", "mypruner", "myscorer")
OWN = (*OWN, "mytask", "...", "http")
SHOWN = [page for page in PAGES if commands(page)]
CODE = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", CODE, ids=name)
def test_python_parses_and_names_what_there_is(page):
    for block in blocks(page):
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("bls_bench"):
                module = import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


@pytest.mark.parametrize("page", SHOWN, ids=name)
def test_commands_are_accepted(page):
    for words in commands(page):
        if any(mark in word for word in words for mark in OWN) or "--help" in words:
            continue
        words = words[: words.index("--cfg")] if "--cfg" in words else words
        # Of a sweep its first run.
        values = [first(word) for word in words if word != "-m"]
        load(composed(values), typed={word.lstrip("+~").partition("=")[0] for word in values})


def first(word):
    """Return an override with the first of its values."""
    key, _, value = word.partition("=")
    return word if "[" in value else f"{key}={value.split(',')[0]}"


def test_every_tutorial_shows_something_that_runs():
    for page in TUTORIALS:
        assert {"python", "bash"} & {block.language for block in blocks(page)}, page
