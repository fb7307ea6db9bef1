"""The names of the parts of a run on the command line, and their classes.

Nothing is listed here that a folder tells: a pruner or scorer is the class of the module that bears its name,
and a task's folder says in its `PARTS` which task, data sets and models it brings.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Sequence
from functools import cache
from types import ModuleType

from bls_bench.data.base import Dataset
from bls_bench.optim import Optimizer, Schedule
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.scorer import Scorer
from bls_bench.records.tracking import Logger
from bls_bench.system.errors import InputError
from bls_bench.system.settings import Part
from bls_bench.tasks.base import Model, Task

BASES: dict[str, type[Part]] = {
    "dataset": Dataset,
    "model": Model,
    "task": Task,
    "optimizer": Optimizer,
    "scheduler": Schedule,
    "pruner": Pruner,
    "scorer": Scorer,
    "logger": Logger,
}
GROUPS = tuple(BASES)
# Groups whose options are modules of these packages.
FOLDERS = {
    "pruner": ("bls_bench.pruning.pruners", "bls_bench.static.methods"),
    "scorer": ("bls_bench.pruning.scorers",),
    "logger": ("bls_bench.records.loggers",),
}
# Groups of a few classes that share a module.
OWN = {
    "optimizer": {"timm": "bls_bench.optim:Optimizer"},
    "scheduler": {
        "constant": "bls_bench.optim:Constant",
        "cosine": "bls_bench.optim:Cosine",
        "onecycle": "bls_bench.optim:OneCycle",
    },
}


@cache
def names(group: str) -> dict[str, str]:
    """Return the names of a group's parts, each with `module:class`, or `module` for its only class."""
    found = dict(OWN.get(group, {}))
    for package in FOLDERS.get(group, ()):
        found |= {name: f"{package}.{name}" for name in _inside(package)}
    for task in _inside("bls_bench.tasks", packages=True):
        brings = importlib.import_module(f"bls_bench.tasks.{task}").PARTS.get(group, {})
        found |= {name: f"bls_bench.tasks.{task}.{at}" for name, at in brings.items()}
    return found


def _inside(package: str, packages: bool = False) -> list[str]:
    """Return the names of the modules, or of the packages, in a package."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(module.name for module in found if module.ispkg == packages)


def resolve(group: str, target: object, plugins: Sequence[str]) -> type[Part]:
    """Return the class that `_target_` names: a name of this registry, or the path of a plugin's class.

    Raises InputError for an unknown name, a module that `plugins` does not name, something else than
    a dataclass of the group's kind, and a package that is not installed.
    """
    key, known = f"{group}._target_={target}", names(group)
    if not isinstance(target, str) or not target:
        raise InputError(f"{group}._target_ must be one of {', '.join(sorted(known))}, got {target!r}")
    if "." in target:
        found = _plugin(key, target, plugins)
    elif target in known:
        found = _own(known[target], BASES[group])
    else:
        raise InputError(f"{key} is unknown, allowed are {', '.join(sorted(known))}")
    if not (isinstance(found, type) and dataclasses.is_dataclass(found) and issubclass(found, BASES[group])):
        raise InputError(f"{key} must be a dataclass that is a {BASES[group].__name__}")
    for package in found.requires:
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"{group}={target} needs {package}, which is not installed: "
                f"pip install 'bls_bench[{found.extra}]'"
            )
    return found


def _own(at: str, base: type[Part]) -> object:
    module, _, name = at.partition(":")
    loaded = importlib.import_module(module)
    return getattr(loaded, name) if name else only_class(loaded, base)


def only_class(module: ModuleType, base: type[Part]) -> type:
    """Return the one public subclass of `base` that a module defines itself."""
    (found,) = (
        value
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, base) and value.__module__ == module.__name__ and not name.startswith("_")
    )
    return found


def _plugin(key: str, target: str, plugins: Sequence[str]) -> object:
    module, _, name = target.rpartition(".")
    if not any(f"{module}.".startswith(f"{plugin}.") for plugin in plugins):
        raise InputError(
            f"{key} is no part of this project: to import a module of your own, name it as plugins=[{module}]"
        )
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{key}: {' '.join(str(error).split())}") from None
