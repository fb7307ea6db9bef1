"""Optimizers (torch's and timm's) and learning-rate schedules that are functions of progress."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bls_bench.system.errors import InputError
from bls_bench.system.lazy import Lazy
from bls_bench.system.settings import Part

if TYPE_CHECKING:
    import torch
    from timm import optim as timm_optim
    from torch import nn
else:
    timm_optim = Lazy("timm.optim")


@dataclass(frozen=True, kw_only=True)
class Optimizer(Part):
    """One of timm's optimizers by name, among them torch's own (sgd, adamw).

    Weight decay falls on every parameter, norms and biases too, as in the papers' public scripts.
    """

    name: str
    lr: float
    weight_decay: float = 0.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must be one of timm's optimizers (sgd, adamw, lars, ...), got ''")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be a number above 0, got {self.lr}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be at least 0, got {self.weight_decay}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")

    def build(self, model: nn.Module, fused: bool = False) -> torch.optim.Optimizer:
        """Return the optimizer; fused: update all parameters in one kernel, where torch has one for it.

        Raises InputError for a name that timm does not have, or one of second order.
        """
        if self.name not in timm_optim.list_optimizers():
            raise InputError(
                f"optimizer.name must be one of timm's optimizers (sgd, adamw, lars, ...), got {self.name!r}"
            )
        if timm_optim.get_optimizer_info(self.name).second_order:
            raise InputError(
                f"optimizer.name must be an optimizer without second derivatives, got {self.name!r}"
            )
        name = "momentum" if self.name == "sgd" else self.name  # timm's "sgd" is Nesterov's, the papers' not
        kind = timm_optim.get_optimizer_class(name, bind_defaults=False)
        fused = (
            fused and kind.__module__.startswith("torch.") and "fused" in inspect.signature(kind).parameters
        )
        options: dict[str, Any] = {"fused": True} if fused else {}
        return timm_optim.create_optimizer_v2(
            model,
            opt=name,
            lr=self.lr,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            filter_bias_and_bn=False,
            **options,
        )


class Schedule(Part):
    """A factor for the peak learning rate as a function of progress in [0, 1].

    Progress is (epoch + step / steps of this epoch) / epochs. A schedule that counts steps instead goes
    wrong as soon as pruning makes epochs shorter.
    """

    def factor(self, progress: float) -> float:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """The peak rate throughout."""

    def factor(self, progress: float) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """torch's OneCycleLR with cosine annealing, by progress; the momentum is left alone.

    The rate rises from 1/div_factor over the first `pct_start` of the run, then falls to
    1/(div_factor * final_div_factor) at its end.
    """

    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        if not 0 < self.pct_start < 1:
            raise ValueError(f"pct_start must be in (0, 1), got {self.pct_start}")
        for name in ("div_factor", "final_div_factor"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def factor(self, progress: float) -> float:
        start, end = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        if progress < self.pct_start:
            return _cosine(start, 1, progress / self.pct_start)
        return _cosine(1, end, (progress - self.pct_start) / (1 - self.pct_start))


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """A linear warm-up over the first `warmup` of the run, then half a cosine down to `final`.

    warmup: share of the run, in [0, 1); start, final: factors of the peak rate.
    """

    warmup: float = 0.0
    start: float = 0.001
    final: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup must be in [0, 1), got {self.warmup}")
        for name in ("start", "final"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")

    def factor(self, progress: float) -> float:
        if progress < self.warmup:
            return self.start + (1 - self.start) * progress / self.warmup
        return _cosine(1, self.final, (progress - self.warmup) / (1 - self.warmup))


def _cosine(start: float, end: float, share: float) -> float:
    """Go from `start` at share 0 to `end` at share 1 along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
