"""The command `bls_bench`: a word for each thing that it does. Each is a module that runs by itself, too."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from bls_bench.version import __version__

# What one types, with its module and what it does. A module is imported only when its word is typed.
COMMANDS = {
    "train": ("bls_bench.train", "train one model with one pruner, or a sweep of them"),
    "look": ("bls_bench.look", "a page that shows which samples are pruned"),
    "diagnose": ("bls_bench.diagnose", "a page of what the scores of a run are made of"),
    "tables": ("bls_bench.tables", "train and render the papers' tables"),
}
USAGE = "\n".join(
    [
        "Usage: bls_bench COMMAND ...",
        "",
        "  bls_bench train pruner=bls_seta       # scikit-learn's digits, one to two minutes on two cores",
        "  bls_bench train task=detection        # any task, on data that come with the packages",
        "",
        *(f"  {name:<9} {does}" for name, (_, does) in COMMANDS.items()),
        "",
        "bls_bench COMMAND --help tells more. Each is `python -m bls_bench.COMMAND` as well.",
        'Completion of names in bash: eval "$(bls_bench -sc install=bash)"',
    ]
)


def main() -> None:
    """Run the command that the first word names; exit code 2 for an unknown one."""
    words = sys.argv[1:]
    if words[:1] == ["-sc"]:
        _complete(words)
    elif not words or words[0] in ("-h", "--help"):
        print(USAGE)
    elif words[0] == "--version":
        print(__version__)
    elif words[0] in COMMANDS:
        sys.argv[1:] = words[1:]
        import_module(COMMANDS[words[0]][0]).main()
    else:
        print(f"error: {words[0]}: must be one of {', '.join(COMMANDS)}, see --help", file=sys.stderr)
        sys.exit(2)


def _complete(words: list[str]) -> None:
    """Answer Hydra's shell completion, which knows the words of `train` alone."""
    line = os.environ.get("COMP_LINE", "").split(" ")
    if words[1:] == ["query=bash"] and line[1:2] != ["train"]:
        print(" ".join(COMMANDS) if len(line) <= 2 else "")
        return
    os.environ["COMP_LINE"] = " ".join([*line[:1], *line[2:]])
    import_module("bls_bench.train").main()


if __name__ == "__main__":
    main()
