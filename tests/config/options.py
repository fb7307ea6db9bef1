"""Every option of every group, and a run that it fits into. Imports nothing heavy."""

import re
from functools import cache

from bls_bench.config.compose import CONF_DIR, composed
from bls_bench.config.registry import GROUPS, names
from bls_bench.config.run import load
from bls_bench.system.errors import InputError

OPTIONS = [
    (group, path.stem)
    for group in (*GROUPS, "experiment")
    for path in sorted((CONF_DIR / group).glob("*.yaml"))
]
TASKS = [option for group, option in OPTIONS if group == "task"]
MUST_BE_GIVEN = r"(\S+) must be given"
# What a run says that an option does not fit into: a need, or a value that another task has.
MISFIT = "does not give|Interpolation key"


@cache
def fitting(group, option):
    """Return the overrides that choose an option, and the config of the first run that it fits into.

    Tried are the default task and then the others, the one first whose folder brings the option. Where
    nothing fits, the first refusal is raised.
    """
    refused = None
    for task in ("", *sorted(TASKS, key=lambda name: name not in _bring(group, option))):
        overrides = [*([f"task={task}"] if task and group != "task" else []), f"{group}={option}"]
        try:
            return _loaded(overrides)
        except InputError as error:
            if not re.search(MISFIT, str(error)) or group == "task":
                raise
            refused = refused or error
    raise refused


def _loaded(overrides):
    """Load a config, with something for each value that has to be given."""
    while True:
        try:
            return overrides, load(composed(overrides))
        except InputError as error:
            needed = re.match(MUST_BE_GIVEN, str(error))
            if needed is None or any(word.startswith(f"{needed[1]}=") for word in overrides):
                raise
            overrides = [*overrides, f"{needed[1]}={'resnet10t' if needed[1] == 'model.name' else 'a'}"]


def _bring(group, option):
    """Return the tasks of the folder that an option's class lies in."""
    path = CONF_DIR / group / f"{option}.yaml"
    target = re.search(r"^_target_: (\S+)", path.read_text(), re.MULTILINE)
    if target is None or group not in ("dataset", "model"):
        return []
    folder = names(group)[target[1]].split(".")[2]
    return [task for task, at in names("task").items() if at.split(".")[2] == folder]
