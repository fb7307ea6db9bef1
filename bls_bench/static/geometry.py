"""Static pruners that cover the samples' features or predictions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner


@dataclass(kw_only=True)
class Herding(ScoringPruner):
    """Herding (Welling 2009): each next sample brings the mean of the features closest to that of all."""

    balanced: bool = True

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        return herding(observed.features, count), None


@dataclass(kw_only=True)
class KCenter(ScoringPruner):
    """k-center greedy (Sener & Savarese 2018): always the sample farthest, by features, from all chosen."""

    balanced: bool = True

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        features = observed.features

        def distances(i: int) -> Tensor:
            return (features - features[i]).square_().sum(1)

        return farthest_first(distances, len(features), count, generator), None


@dataclass(kw_only=True)
class ContextualDiversity(ScoringPruner):
    """Contextual diversity (Agarwal et al. 2020): k-center greedy on predictions.

    The distance of two samples is (KL(p || q) + KL(q || p)) / 2.
    """

    copies: ClassVar[int] = 4
    balanced: bool = True

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        logs = observed.logits.log_softmax(1)
        p = logs.exp()

        def distances(i: int) -> Tensor:
            return (p - p[i]).mul_(logs - logs[i]).sum(1) / 2

        return farthest_first(distances, len(p), count, generator), None


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


def farthest_first(
    distances: Callable[[int], Tensor], n: int, count: int, generator: torch.Generator
) -> Tensor:
    """Return `count` >= 1 of n samples, (count,) int64: a random one, then always the farthest from those.

    distances: gives the (n,) distances to sample i, none below 0. Memory is linear in n.
    """
    chosen = [int(torch.randint(n, (), generator=generator))]
    nearest = torch.full((n,), torch.inf)
    while len(chosen) < count:
        nearest = torch.minimum(nearest, distances(chosen[-1]))
        nearest[chosen[-1]] = -torch.inf
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)
