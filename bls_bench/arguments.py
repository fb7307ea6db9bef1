"""The command line, looked at before Hydra does: what it would answer by a traceback or not understand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser

from bls_bench.config.compose import CONF_DIR
from bls_bench.config.registry import GROUPS
from bls_bench.system.errors import InputError

# What Hydra reads as a value and not as a name.
CONSTANTS = {"null", "true", "false"}
OPTION = re.compile(r"[A-Za-z_][\w./-]*")
CHOSEN = (*GROUPS, "experiment")


def checked(words: Sequence[str]) -> list[str]:
    """Return the words of a command line as Hydra understands them.

    A value with letters beyond ASCII is put into quotes, without which Hydra's grammar does not take it.
    Raises InputError for an unknown flag, for a group that is given no name of an option, and for files of
    --config-dir that are not UTF-8.
    """
    found, unknown = get_args_parser().parse_known_args(list(words))
    flags = [word for word in unknown if word.startswith("-")]
    if flags:
        raise InputError(f"{flags[0]}: unknown flag, see --help")
    if found.config_dir:
        _check_encoding(Path(found.config_dir))
    folders = [CONF_DIR, *([Path(found.config_dir)] if found.config_dir else [])]
    return [_checked(word, folders) for word in words]


def _check_encoding(folder: Path) -> None:
    """Raise InputError for a config file that is not UTF-8, whose name Hydra would not tell."""
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]):
        try:
            file.read_bytes().decode()
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            byte = error.object[error.start]
            raise InputError(
                f"{file}, line {line}: it must be UTF-8, and has the byte 0x{byte:02x}"
            ) from None


def _checked(word: str, folders: Sequence[Path]) -> str:
    name, is_override, value = word.partition("=")
    if not is_override or word.startswith("-"):
        return word
    if name in CHOSEN and not _is_option(value):
        raise InputError(f"{word}: must be one of {', '.join(options(name, folders))}")
    if not value.isascii() and not re.search(r"""["'\[{(]""", value):
        return f'{name}="{value}"'
    return word


def _is_option(value: str) -> bool:
    """Whether a value can be the name of an option, or several of a sweep; which there are, Hydra tells."""
    parts = [part.strip() for part in value.split(",")]
    named = all(OPTION.fullmatch(part) and part not in CONSTANTS for part in parts)
    return named or value.startswith("glob(")


def options(group: str, folders: Sequence[Path]) -> list[str]:
    """Return the names of a group's options in folders of config files."""
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})
