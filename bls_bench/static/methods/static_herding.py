"""Herding: keep the mean of the features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Herding(ScoringPruner):
    """Herding (Welling 2009): each next sample brings the mean of the features closest to that of all."""

    balanced: bool = True

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        return herding(observed.features, count), None


def herding(features: Tensor, count: int) -> Tensor:
    """Return `count` of the (n, d) features, (count,) int64, greedily closest to the mean at every length."""
    mean, total = features.mean(0), torch.zeros(features.shape[1])
    offsets, chosen = features.square().sum(1), []  # infinite for a chosen one
    for length in range(1, count + 1):
        # |length * mean - total - x|^2, less what does not depend on x.
        chosen.append(int((offsets - 2 * (features @ (length * mean - total))).argmin()))
        offsets[chosen[-1]] = torch.inf
        total += features[chosen[-1]]
    return torch.tensor(chosen, dtype=torch.int64)
