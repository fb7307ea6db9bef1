"""The command `bls_bench` and its words."""

import sys
from importlib import import_module

import pytest

import bls_bench
from bls_bench.command import COMMANDS, main

from .helpers import exit_code


@pytest.fixture
def typed(monkeypatch, capsys):
    """Run `bls_bench` with some words; gives exit code, output and errors."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["bls_bench", *words])
        return exit_code(main), *capsys.readouterr()

    return run


def test_without_a_word_it_says_which_there_are(typed):
    for words in ((), ("--help",), ("-h",)):
        code, out, _ = typed(*words)
        assert code == 0
        assert len(out.splitlines()) < 24
        for name, (_, does) in COMMANDS.items():
            assert name in out
            assert does in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_word_is_a_module_that_has_help_of_its_own(name, typed):
    assert callable(import_module(COMMANDS[name][0]).main)
    code, out, _ = typed(name, "--help")
    assert code == 0
    assert out


def test_an_unknown_word_is_refused_in_one_line(typed):
    code, out, err = typed("trian")
    assert (code, out) == (2, "")
    assert err == f"error: trian: must be one of {', '.join(COMMANDS)}, see --help\n"


def test_its_version_is_that_of_the_package(typed):
    assert typed("--version")[1].strip() == bls_bench.version.__version__


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("bls_bench ", " ".join(COMMANDS)),
        ("bls_bench tr", " ".join(COMMANDS)),
        ("bls_bench tables ta", ""),
        ("bls_bench train pruner=bls_s", "pruner=bls_seta"),
        ("bls_bench train pruner=bls_repb scorer=ma", "scorer=margin"),
    ],
)
def test_the_shell_completes_words_and_hydras_names(line, answer, typed, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line)
    code, out, err = typed("-sc", "query=bash")
    assert (code, err) == (0, "")
    assert out.strip() == answer


def test_what_is_installed_for_the_shell_is_hydras_script(typed):
    assert "hydra_bash_completion" in typed("-sc", "install=bash")[1]
