"""The config of one run: its parts, built from their groups, and the checks that span groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bls_bench.config.fit import check_fit
from bls_bench.config.key import key_of
from bls_bench.config.registry import GROUPS, resolve
from bls_bench.config.schema import Root, Trainer, first_line, made
from bls_bench.data.base import Data, Dataset
from bls_bench.optim import Optimizer, Schedule
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.scorer import Scorer
from bls_bench.records.tracking import Logger
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model, Task

if TYPE_CHECKING:
    import torch


# The groups whose values others take over: what is wrong with one is told of the key that was given.
FIRST = ("task", "model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The parts of a run, each built from its group, and `resolved`, the plain values they came from."""

    root: Root
    trainer: Trainer
    dataset: Dataset
    model: Model
    task: Task
    optimizer: Optimizer
    scheduler: Schedule
    pruner: Pruner
    scorer: Scorer
    logger: Logger
    resolved: dict[str, Any]

    @property
    def seed(self) -> int:
        return self.root.seed

    @property
    def key(self) -> str:
        """The run's name: see `bls_bench.config.key`."""
        keyed = ("trainer", *(group for group in GROUPS if group != "logger"))
        targets = {group: self.resolved[group]["_target_"] for group in GROUPS}
        return key_of(self.seed, {group: getattr(self, group) for group in keyed}, targets, self.task.partial)

    def load_data(self, device: torch.device | None = None) -> Data:
        """Read the data set and arrange it as the task trains on it; raises InputError."""
        return self.arranged(self.dataset.load(self.seed, device))

    def arranged(self, data: Data) -> Data:
        """Return the data as the task trains on them."""
        return self.task.arranged(data, self.seed, self.trainer.batch_size)

    def with_seed(self, seed: int) -> Config:
        """Return the same run with another seed."""
        root = dataclasses.replace(self.root, seed=seed)
        return dataclasses.replace(self, root=root, resolved=self.resolved | {"seed": seed})


def load(cfg: DictConfig, typed: Collection[str] = ()) -> Config:
    """Check the composed config and build its parts.

    typed: the keys and groups that the command line names. A value that a preset brought for another class
    than the one typed for its group is left out; one that was typed itself is refused.
    Raises InputError naming the key for an unknown key, a wrong type, a value outside its range, parts that
    do not fit each other, or a target that the pruner cannot reach.
    """
    try:
        plain = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key}: {first_line(error)}") from None
    assert isinstance(plain, dict)
    groups = {group: plain.pop(group, None) for group in ("trainer", *GROUPS)}
    resolved, root = made(Root, plain, "")
    nodes: dict[str, dict[Any, Any]] = {}
    for group, node in groups.items():
        if not isinstance(node, dict):
            raise InputError(f"{group} must be a group of settings, got {node!r}: see --help")
        nodes[group] = node
    resolved["trainer"], trainer = made(Trainer, nodes.pop("trainer"), "trainer.")
    parts: dict[str, Any] = {}
    for group in (*FIRST, *(group for group in nodes if group not in FIRST)):
        node = nodes[group]
        cls = resolve(group, node.get("_target_"), root.plugins)
        foreign = node if group in typed or f"{group}._target_" in typed else {}
        droppable = {key for key in foreign if f"{group}.{key}" not in typed}
        values, parts[group] = made(cls, node, f"{group}.", droppable)
        resolved[group] = {"_target_": node["_target_"]} | values
    chosen = {"scorer", "scorer._target_"}.intersection(typed)
    if not parts["pruner"].scores and not chosen and parts["scorer"].needs - parts["task"].gives:
        # Nobody reads the scores: their losses are noted by what the task gives.
        values, parts["scorer"] = made(resolve("scorer", "bls", ()), {}, "scorer.")
        resolved["scorer"] = {"_target_": "bls"} | values
    config = Config(root=root, trainer=trainer, resolved=resolved, **parts)
    check_fit(config.resolved, {group: parts[group] for group in GROUPS}, trainer)
    if trainer.epochs is not None:  # how many epochs a run in steps has, its data tell
        try:
            config.pruner.plan(trainer.epochs, config.scorer.below_mean)
        except ValueError as error:
            raise InputError(f"pruner.{error}") from None
    return config
