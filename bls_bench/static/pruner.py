"""What every static pruner is: a choice of samples, made once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bls_bench.pruning.pruner import Epoch, Pruner, check_rate
from bls_bench.pruning.saved import are_samples, column
from bls_bench.pruning.selection import Selection, marked
from bls_bench.static.observations import Observations
from bls_bench.system.lazy import torch
from bls_bench.system.memory import host_free, shortage

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class StaticPruner(Pruner):
    """Trains every epoch on the same int((1 - target) * N + 1/2) samples, in a new order.

    target: share of the samples left out, in [0, 1).
    balanced: choose the same share of every class, class by class, instead of among all samples at once.
    allow_empty_class: let a choice stand that leaves a class without any sample.
    copies: `pick` needs at most so many times the memory of the features and outputs that it chooses by.
    """

    scores: ClassVar[bool] = False
    chooses_once: ClassVar[bool] = True
    copies: ClassVar[int] = 2
    target: float = 0.5
    balanced: bool = False
    allow_empty_class: bool = False

    def __post_init__(self) -> None:
        check_rate("target", self.target)
        # (K,) int64 and (K,) float32 or None; None until `choose`.
        self._chosen: Tensor | None = None
        self._weights: Tensor | None = None
        self.cost: Mapping[str, float] = {}

    def pick(
        self, observed: Observations, count: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Return which `count` >= 1 of the n samples to keep, (count,) int64, and weights or None for 1."""
        raise NotImplementedError

    @property
    def chosen(self) -> bool:
        return self._chosen is not None

    def choose(self, observed: Observations, generator: torch.Generator) -> None:
        """Choose the samples of the whole run.

        Raises ValueError for a class left without any sample where that is not allowed, and for too little
        memory.
        """
        targets, keep = observed.targets, int((1 - self.target) * len(observed) + 0.5)
        groups, quotas = [torch.arange(len(targets))], [keep]
        if self.balanced:
            groups = [(targets == label).nonzero().squeeze(1) for label in range(observed.num_classes)]
            quotas = apportioned([len(group) for group in groups], keep)
        self._check_memory(observed, max(map(len, groups)))
        parts, weights = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0)]
        for group, quota in zip(groups, quotas, strict=True):
            if quota == 0:
                continue
            picked, weight = self.pick(observed.at(group), quota, generator)
            parts.append(group[picked])
            weights.append(torch.ones(len(picked)) if weight is None else weight)
        chosen, order = torch.cat(parts).sort()
        self._check_classes(targets, targets[chosen], observed.num_classes)
        self._chosen, self._weights = chosen, torch.cat(weights)[order]

    def _check_memory(self, observed: Observations, count: int) -> None:
        # One copy is the group of `count` samples itself.
        needed = (1 + self.copies) * observed.bytes_of(count)
        what = f"{type(self).__name__}'s copies of the features and outputs of {count} samples"
        if missing := shortage(needed, host_free(), what):
            raise ValueError(missing)

    def _check_classes(self, targets: Tensor, kept: Tensor, num_classes: int) -> None:
        there, left = targets.bincount(minlength=num_classes), kept.bincount(minlength=num_classes)
        empty = ((there > 0) & (left == 0)).nonzero().squeeze(1).tolist()
        if empty and not self.allow_empty_class:
            balance = "" if self.balanced else "set balanced=true, "
            raise ValueError(
                f"{type(self).__name__} leaves class {empty[0]} without a single sample ({len(empty)} of "
                f"{num_classes} classes in all): lower target={self.target}, {balance}or allow it with "
                "allow_empty_class=true"
            )

    @property
    def wanted_share(self) -> float:
        return self.target

    def expected_percent(self, num_epochs: int, below_mean: float = 0.5) -> float:
        return 100 * self.target

    def select(self, epoch: Epoch) -> Selection:
        """Raise ValueError if nothing has been chosen."""
        if self._chosen is None:
            raise ValueError(f"{type(self).__name__} needs its scoring run first: train by bls_bench.train")
        assert self._weights is not None
        kept = marked(self._chosen, epoch.num_samples)
        if bool((self._weights == 1).all()):
            return Selection.of(kept, epoch.generator)
        weights = torch.zeros(epoch.num_samples).index_copy_(0, self._chosen, self._weights)
        return Selection.of(kept, epoch.generator, weights)

    def state_dict(self) -> dict[str, Any]:
        return {"chosen": self._chosen, "weights": self._weights, "cost": dict(self.cost)}

    def fits(self, state: Any, num_samples: int) -> bool:
        if not isinstance(state, dict) or state.keys() != self.state_dict().keys():
            return False
        chosen, weights, cost = state["chosen"], state["weights"], state["cost"]
        numbers = isinstance(cost, dict) and all(isinstance(value, int | float) for value in cost.values())
        if chosen is None or not are_samples(chosen, num_samples):
            return chosen is None and weights is None and numbers
        return column(weights, len(chosen), torch.float32) and numbers

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._chosen, self._weights, self.cost = state["chosen"], state["weights"], dict(state["cost"])


@dataclass(kw_only=True)
class ScoringPruner(StaticPruner):
    """Base of static pruners that look at a scoring run of `scoring_epochs` epochs on all data."""

    needs: ClassVar[frozenset[str]] = frozenset({"outputs", "whole_model"})
    scoring_epochs: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scoring_epochs < 1:
            raise ValueError(f"scoring_epochs must be at least 1, got {self.scoring_epochs}")


def apportioned(sizes: list[int], total: int) -> list[int]:
    """Share `total` out in proportion to `sizes`, by largest remainders."""
    whole = sum(sizes)
    shares = [total * size // whole for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: -(total * sizes[i] % whole))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
