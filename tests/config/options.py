"""Every option of every group, and what it cannot do without. Imports nothing heavy."""

import importlib

import yaml

from bls_bench.config.compose import CONF_DIR
from bls_bench.config.registry import GROUPS, names

OPTIONS = [
    (group, path.stem)
    for group in (*GROUPS, "experiment")
    for path in sorted((CONF_DIR / group).glob("*.yaml"))
]
GIVEN = {
    ("dataset", "imagefolder"): ["dataset.root=some/folder"],
    ("dataset", "imagenet"): ["dataset.root=some/folder"],
    ("model", "timm"): ["model.name=resnet10t"],
}


def selected(group, option):
    """Return the overrides that choose an option, in a run that it fits into."""
    return [*_task_of(group, option), f"{group}={option}", *GIVEN.get((group, option), [])]


def _task_of(group, option):
    """Choose the task whose folder brings a data set or a model; most go with the default one."""
    if group not in ("dataset", "model"):
        return []
    target = yaml.safe_load((CONF_DIR / group / f"{option}.yaml").read_text())["_target_"]
    package = names(group)[target].split(".")[2]
    task = next(iter(importlib.import_module(f"bls_bench.tasks.{package}").PARTS["task"]))
    return [] if task == "classification" else [f"task={task}"]
