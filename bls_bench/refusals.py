"""One line for each error in the user's input, including Hydra's own."""

import dataclasses
import re
import sys

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bls_bench.config.compose import composed
from bls_bench.config.registry import GROUPS, resolve
from bls_bench.pruning.checks import NonFiniteLossError
from bls_bench.system.errors import InputError, ResourceError, folded

# Letters of a word, as of a value, that a message shows.
LONGEST = 300
# The errors that are told in one line, with their exit codes.
EXPECTED: dict[type[Exception], int] = {
    InputError: 2,
    HydraException: 2,
    OmegaConfBaseException: 2,
    OSError: 2,
    YAMLError: 2,
    UnicodeDecodeError: 2,
    NonFiniteLossError: 1,
    ResourceError: 1,
}


def tell(error: Exception, of: str = "") -> int:
    """Print an expected error in one line; returns its exit code. `of`: the run of a sweep it ended."""
    print(f"error: {one_line(error)}{of and f' (run: {of})'}", file=sys.stderr)
    return code_of(error)


def code_of(error: Exception) -> int:
    return next(code for kind, code in EXPECTED.items() if isinstance(error, kind))


def one_line(error: Exception) -> str:
    """Fold an error's message into one line, and say what is allowed where Hydra only says no."""
    text = folded(error).partition("Config search path:")[0].strip()
    text = re.sub(rf"(\S{{{LONGEST}}})\S+", r"\1...", text)
    unknown = re.match(r"Could not override '(.*?)'", text)
    if unknown is None:
        return text
    group, _, name = unknown[1].rpartition(".")
    fields = _fields_of_target(group)
    if fields and name in fields:
        return f"{unknown[1]}: a setting of {group}._target_ is added with a +, as +{unknown[1]}=VALUE"
    beside = ", ".join(fields or _siblings(unknown[1]))
    return f"{unknown[1]}: unknown key, " + (
        f"allowed are {beside}" if beside else f"this {group} has no settings"
    )


def _fields_of_target(group: str) -> list[str]:
    """Return the settings of the class that the command line names as a group's; none if it names none."""
    named = [word for word in sys.argv[1:] if word.startswith(f"{group}._target_=")]
    if not named or group not in GROUPS:
        return []
    try:
        config = composed([*named, *(word for word in sys.argv[1:] if word.startswith("plugins="))])
        cls = resolve(group, config[group]._target_, config.plugins)
    except (InputError, HydraException, OmegaConfBaseException):  # the line about the key is to be told first
        return []
    assert dataclasses.is_dataclass(cls)
    return [field.name for field in dataclasses.fields(cls)]


def _siblings(key: str) -> list[str]:
    """Return the keys that stand beside `key` in the config this command line would make without it."""
    # The options of groups decide which keys there are; values could be wrong as well.
    options = [word for word in sys.argv[1:] if re.fullmatch(r"\w+=\w+", word) and not word.startswith(key)]
    config = composed(options)
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig):
        return _siblings(parent)
    return [str(name) for name in node if name != "_target_"]
