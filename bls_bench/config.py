"""The composed config: its schema, the parts built from it, and the checks that span groups."""

import dataclasses
import hashlib
import json
import pkgutil
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bls_bench.data.base import Dataset
from bls_bench.errors import InputError
from bls_bench.models import Model
from bls_bench.optim import Optimizer, Schedule
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.scorers import Scorer
from bls_bench.static.pruner import StaticPruner
from bls_bench.tasks.base import Task
from bls_bench.tracking import Logger

GROUPS = ("dataset", "model", "task", "optimizer", "scheduler", "pruner", "scorer", "logger")
BASES = {
    "dataset": Dataset,
    "model": Model,
    "optimizer": Optimizer,
    "scheduler": Schedule,
    "pruner": Pruner,
    "scorer": Scorer,
    "logger": Logger,
}
PRECISIONS = ("32", "tf32", "bf16-mixed")
STRATEGIES = ("ddp", "fsdp")
COMPILE = ("none", "default", "max-autotune")
# Settings that bear on no number, and so are no part of a run's key.
UNNAMED = {"trainer.device", "trainer.checkpoint_seconds", "trainer.save_model", "trainer.save_losses"}
UNNAMED |= {"dataset.in_memory", "dataset.workers"}

# In the source tree conf/ lies beside the package, in an installed wheel inside it.
CONF_DIR = next(
    path for path in (Path(__file__).parent / "conf", Path(__file__).parents[1] / "conf") if path.is_dir()
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainer:
    """How to train.

    batch_size: samples a step, over all processes together. accumulate: so many parts of a batch go
    through the model one after the other, for the memory; layers that look at a whole batch (BatchNorm)
    then see a part. strategy: of several processes; ddp has the model in each, fsdp a part of the
    model. precision: 32, tf32 (32 on a GPU with its products rounded to 10 bits) or bf16-mixed.
    device: auto, cpu, cuda, mps. compile: torch.compile's mode, or none; a last short batch and
    evaluation are never compiled. grad_clip: the largest gradient norm, or null. ema: the decay of an
    average of the weights over the steps, which is then what is evaluated and kept, or null.
    eval_every: epochs from one evaluation to the next; the last epoch always ends with one.
    checkpoint_seconds: the least time between two checkpoints (one is always written on Ctrl-C and
    SIGTERM). save_model: keep the weights as model.pt. save_losses: keep the losses of every sample as
    losses.npy, 8 bytes a sample and epoch.
    """

    epochs: int
    batch_size: int
    strategy: str = "ddp"
    precision: str = "32"
    device: str = "auto"
    compile: str = "none"
    accumulate: int = 1
    grad_clip: float | None = None
    ema: float | None = None
    eval_every: int = 1
    checkpoint_seconds: float = 60.0
    save_model: bool = True
    save_losses: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "eval_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.device not in ("auto", "cpu", "cuda", "mps"):
            raise ValueError(f"device must be auto, cpu, cuda or mps, got {self.device!r}")
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {self.strategy!r}")
        if self.strategy == "fsdp" and self.ema is not None:
            raise ValueError(
                f"ema must be null with strategy=fsdp, which cannot copy a model, got {self.ema}"
            )
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise ValueError(f"grad_clip must be above 0 or null, got {self.grad_clip}")
        if self.compile not in COMPILE:
            raise ValueError(f"compile must be one of {', '.join(COMPILE)}, got {self.compile!r}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must be in (0, 1) or null, got {self.ema}")
        if not self.checkpoint_seconds >= 0:
            raise ValueError(f"checkpoint_seconds must be at least 0, got {self.checkpoint_seconds}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The parts of a run, each built from its group, and `resolved`, the plain values they came from."""

    seed: int
    records: str
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
    def key(self) -> str:
        """The run's name: a hash of all that bears on its numbers.

        Paths, logging, devices, where images lie and who decodes them, and what is saved do not count; of
        `dataset.root` only the folder's own name does. Nor does a value that is its dataclass' default: an
        option that is new, and off unless asked for, leaves the names of all earlier runs as they were.
        """
        kept: dict[str, Any] = {"seed": self.seed}
        for group in ("trainer", *(group for group in GROUPS if group != "logger")):
            defaults = {field.name: field.default for field in dataclasses.fields(getattr(self, group))}
            kept[group] = {
                name: value
                for name, value in self.resolved[group].items()
                if f"{group}.{name}" not in UNNAMED and value != defaults.get(name, dataclasses.MISSING)
            }
        if "root" in self.resolved["dataset"]:
            kept["dataset"]["root"] = Path(self.resolved["dataset"]["root"]).expanduser().absolute().name
        text = json.dumps(kept, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclasses.dataclass(kw_only=True)
class _Root:
    seed: int = 0
    records: str = "outputs"

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be in [0, 2^63), got {self.seed}")


def load(cfg: DictConfig) -> Config:
    """Check the composed config and build its parts.

    Raises InputError naming the key for an unknown key, a wrong type, a value outside its range, a
    scorer that asks for what the task cannot give, or a target that the pruner cannot reach.
    """
    try:
        plain = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key}: {first_line(error)}") from None
    assert isinstance(plain, dict)
    groups = {group: plain.pop(group, None) for group in ("trainer", *GROUPS)}
    resolved, _ = _made(_Root, plain, "")
    parts: dict[str, Any] = dict(resolved)
    for group, node in groups.items():
        if not isinstance(node, dict):
            raise InputError(f"{group} must be a group of settings, got {node!r}: see --help")
        cls = Trainer if group == "trainer" else _target(group, node)
        values, parts[group] = _made(cls, node, f"{group}.")
        resolved[group] = {key: node[key] for key in node if key == "_target_"} | values
    config = Config(**parts, resolved=resolved)
    check_parts(groups["task"]["_target_"], config.task, config.scorer, config.pruner)
    if (
        config.trainer.strategy == "fsdp"
        and isinstance(config.pruner, StaticPruner)
        and config.pruner.scoring_epochs
    ):
        raise InputError(
            "trainer.strategy must be ddp for a static pruner: it looks into the whole model, got fsdp"
        )
    try:
        config.pruner.plan(config.trainer.epochs, config.scorer.below_mean)
    except ValueError as error:
        raise InputError(f"pruner.{error}") from None
    return config


def check_parts(task_name: str, task: Task, scorer: Scorer, pruner: Pruner) -> None:
    """Raise InputError if scorer or pruner need something of the samples that the task does not tell."""
    name, signals = task_name.rpartition(".")[2].lower(), getattr(task, "signals", ())
    if scorer.per_sample and not task.per_sample:
        raise InputError(f"scorer: task {name} gives only a batch loss: use scorer=bls")
    if scorer.signal and scorer.signal not in signals:
        raise InputError(f"scorer: task {name} gives no {scorer.signal} of a sample: use scorer=per_sample")
    if scorer.signal and task != task.unmixed():
        raise InputError(
            f"scorer: samples mixed by task.mixup or task.cutmix have no {scorer.signal} of their own: "
            "use scorer=per_sample"
        )
    if isinstance(pruner, StaticPruner) and pruner.scoring_epochs and not signals:
        raise InputError(
            f"pruner: task {name} gives no outputs to choose samples by: use pruner=static_random"
        )


def _target(group: str, node: dict[Any, Any]) -> type:
    """Return the class that a group's `_target_` names."""
    name, base = node.get("_target_"), BASES.get(group, object)
    try:
        cls = pkgutil.resolve_name(str(name))
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{group}._target_={name}: {first_line(error)}") from None
    if not (dataclasses.is_dataclass(cls) and isinstance(cls, type) and issubclass(cls, base)):
        raise InputError(f"{group}._target_={name} must be a dataclass that is a {base.__name__}")
    return cls


def _made(cls: type, node: dict[Any, Any], prefix: str) -> tuple[dict[str, Any], Any]:
    """Return the checked values of a node, and the part made from them."""
    values = _values(cls, node, prefix)
    try:
        return values, cls(**values)
    except ValueError as error:
        raise InputError(f"{prefix}{error}") from None


def _values(cls: type, node: dict[Any, Any], prefix: str) -> dict[str, Any]:
    """Return the values of a node, converted to the types of the dataclass' fields."""
    schema = OmegaConf.structured(cls)
    OmegaConf.set_readonly(schema, False)  # that of a frozen dataclass is
    allowed = ", ".join(map(str, [*schema, *(() if prefix else ("trainer", *GROUPS))]))
    for key, value in node.items():
        if key == "_target_":
            continue
        if key not in schema.keys():  # noqa: SIM118 - a key without a value yet is not `in` it
            known = f"allowed are {allowed}" if allowed else f"this {prefix[:-1]} has no settings"
            raise InputError(f"{prefix}{key}: unknown key, {known}")
        if value == "???":
            raise InputError(f"{prefix}{key} must be given, as {prefix}{key}=VALUE")
        try:
            schema[key] = value
        except OmegaConfBaseException as error:
            raise InputError(f"{prefix}{key}={value}: {first_line(error)}") from None
    for key in schema:
        if OmegaConf.is_missing(schema, key):
            raise InputError(f"{prefix}{key} must be given, as {prefix}{key}=VALUE")
    values = OmegaConf.to_container(schema)
    assert isinstance(values, dict)
    return values


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
