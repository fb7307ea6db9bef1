"""Settings from plain values: known keys only, converted to the fields' types, in range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bls_bench.config.registry import GROUPS
from bls_bench.system.errors import InputError
from bls_bench.system.settings import Part, added, unkeyed

PRECISIONS = ("32", "tf32", "bf16-mixed")
STRATEGIES = ("ddp", "fsdp")
COMPILE = ("none", "default", "max-autotune")
MOST = 2**31
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainer(Part):
    """How to train.

    epochs, steps: how long, one of the two, the other null; a run in steps ends in the epoch that reaches
    them, and pruning gives it more epochs instead of fewer steps. batch_size: samples a step, over all
    processes together. accumulate: so many parts of a batch go through the model one after the other, for
    the memory; layers that look at a whole batch (BatchNorm) then see a part. strategy: of several
    processes; ddp has the model in each, fsdp a part of the model. precision: 32, tf32 (32 on a GPU with
    its products rounded to 10 bits) or bf16-mixed. device: auto, cpu, cuda, mps. compile: torch.compile's
    mode, or none; a last short batch and evaluation are never compiled. grad_clip: the largest gradient
    norm, or null. ema: the decay of an average of the weights over the steps, which is then what is
    evaluated and kept, or null. eval_every: epochs from one evaluation to the next; the last epoch always
    ends with one. checkpoint_seconds: the least time between two checkpoints (one is always written on
    Ctrl-C and SIGTERM). timeout: seconds after which a process that waits for another, which hangs, gives
    up. save_model: keep the weights as model.pt. save_losses: keep the losses of every sample as
    losses.npy, 8 bytes a sample and epoch. look: end with look.html, a page of who was trained on and how
    they were scored; it takes about 2 bytes a sample and epoch, in checkpoints too. by_length: batches of
    texts of like length, for less padding: pools of 50 batches are sorted, and their batches trained on in
    random order.
    """

    epochs: int | None
    batch_size: int
    strategy: str = "ddp"
    precision: str = "32"
    device: str = unkeyed("auto")
    compile: str = "none"
    accumulate: int = 1
    grad_clip: float | None = None
    ema: float | None = None
    eval_every: int = 1
    checkpoint_seconds: float = unkeyed(60.0)
    timeout: float = unkeyed(1800.0)
    save_model: bool = unkeyed(True)
    save_losses: bool = unkeyed(False)
    look: bool = unkeyed(False)
    steps: int | None = added(None, neutral=None)
    by_length: bool = added(False, neutral=False)

    @property
    def gives(self) -> frozenset[str]:
        """What pruners can have of it: with fsdp no process holds the whole model."""
        return frozenset() if self.strategy == "fsdp" else frozenset({"whole_model"})

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                f"epochs={_word(self.epochs)} and trainer.steps={_word(self.steps)}: give one, and null for "
                "the other"
            )
        length = "steps" if self.epochs is None else "epochs"
        for name in (length, "batch_size", "accumulate", "eval_every"):
            if not 1 <= getattr(self, name) < MOST:
                raise ValueError(f"{name} must be at least 1 and below 2^31, got {getattr(self, name)}")
        if self.steps is not None and self.save_losses:
            raise ValueError(
                "save_losses must be false in a run counted in steps, whose epochs are not known"
            )
        for name, allowed in (
            ("precision", PRECISIONS),
            ("device", DEVICES),
            ("strategy", STRATEGIES),
            ("compile", COMPILE),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.strategy == "fsdp" and self.ema is not None:
            raise ValueError(
                f"ema must be null with strategy=fsdp, which cannot copy a model, got {self.ema}"
            )
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise ValueError(f"grad_clip must be above 0 or null, got {self.grad_clip}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must be in (0, 1) or null, got {self.ema}")
        if not 0 < self.timeout < MOST:
            raise ValueError(f"timeout must be above 0 and below 2^31 seconds, got {self.timeout}")
        if not self.checkpoint_seconds >= 0:
            raise ValueError(f"checkpoint_seconds must be at least 0, got {self.checkpoint_seconds}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Root(Part):
    """Settings of the run that belong to no group.

    records: the folder of the records; archive: a folder whose archive takes the finished record, or null.
    plugins: modules of yours whose classes a `_target_` may name.
    """

    seed: int = 0
    records: str = unkeyed("outputs")
    archive: str | None = unkeyed(None)
    plugins: list[str] = dataclasses.field(default_factory=list, metadata={"keyed": False})

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be in [0, 2^63), got {self.seed}")
        for name in ("records", "archive"):
            if getattr(self, name) == "":
                raise ValueError(f"{name} must be a folder, got ''")


def made(
    cls: type[Any], node: dict[Any, Any], prefix: str, droppable: Collection[str] = ()
) -> tuple[dict[str, Any], Any]:
    """Return the checked values of a node, and the part made from them.

    droppable: keys that are left out where `cls` has no such field, instead of being refused.
    Raises InputError naming the key for one that is unknown, missing, of another type or out of range.
    """
    known = {field.name for field in dataclasses.fields(cls)}
    node = {key: value for key, value in node.items() if key in known or key not in droppable}
    values = _values(cls, node, prefix)
    try:
        part = cls(**values)
        for name, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, got {value}")
        # As the part has them: it may have put an actual value in the place of a word for it.
        return {name: getattr(part, name) for name in values}, part
    except (ValueError, OverflowError) as error:
        raise InputError(f"{prefix}{error}") from None


def _values(cls: type[Any], node: dict[Any, Any], prefix: str) -> dict[str, Any]:
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
    return {str(key): value for key, value in values.items()}


def _word(value: int | None) -> str:
    return "null" if value is None else str(value)


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
