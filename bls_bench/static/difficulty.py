"""Static pruners that rank the samples by one number each and keep the highest."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from bls_bench.pruning.selection import largest
from bls_bench.pruning.signals import confidence, entropy, error_norm, margin
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner

# Samples that are scored at a time, so that memory holds little beside what was seen of them.
BLOCK = 4096


@dataclass(kw_only=True)
class RankingPruner(ScoringPruner):
    """Base of the rankings; ties are drawn at random."""

    copies: ClassVar[int] = 1

    def score(self, observed: Observations) -> Tensor:
        """Return the (n,) scores, the highest to be kept, each from what was seen of its sample alone."""
        raise NotImplementedError

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        blocks = torch.arange(len(observed)).split(BLOCK)
        scores = torch.cat([self.score(observed.at(block)) for block in blocks])
        return largest(scores, count, generator), None


@dataclass(kw_only=True)
class EL2N(RankingPruner):
    """EL2N (Paul et al. 2021, Eq. 3), of one scoring run: ||p - y||."""

    def score(self, observed: Observations) -> Tensor:
        return error_norm(observed.logits, observed.targets)


@dataclass(kw_only=True)
class GraNd(RankingPruner):
    """GraNd (Paul et al. 2021, Eq. 2) in the last layer, of one scoring run: ||p - y|| * ||(h, 1)||."""

    balanced: bool = True

    def score(self, observed: Observations) -> Tensor:
        left, right = observed.gradients()
        return left.norm(dim=1) * right.norm(dim=1)


@dataclass(kw_only=True)
class Forgetting(RankingPruner):
    """Forgetting events (Toneva et al. 2019): how often a sample went from right to wrong.

    Samples that were never right count more than any other.
    """

    balanced: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scoring_epochs < 2:
            raise ValueError(f"scoring_epochs must be at least 2, got {self.scoring_epochs}")

    def score(self, observed: Observations) -> Tensor:
        right = observed.history
        events = (right[:-1] & ~right[1:]).sum(0)
        return torch.where(right.any(0), events, len(right)).float()


@dataclass(kw_only=True)
class LeastConfidence(RankingPruner):
    """Least confidence (Coleman et al. 2020): 1 - p_1, of the highest probability."""

    balanced: bool = True

    def score(self, observed: Observations) -> Tensor:
        return confidence(observed.logits)


@dataclass(kw_only=True)
class Margin(RankingPruner):
    """Margin (Coleman et al. 2020): 1 - (p_1 - p_2), of the two highest probabilities."""

    balanced: bool = True

    def score(self, observed: Observations) -> Tensor:
        return margin(observed.logits)


@dataclass(kw_only=True)
class Entropy(RankingPruner):
    """Entropy of the prediction (Coleman et al. 2020)."""

    balanced: bool = True

    def score(self, observed: Observations) -> Tensor:
        return entropy(observed.logits)


@dataclass(kw_only=True)
class ProxyTopK(RankingPruner):
    """Selection via proxy (Coleman et al. 2020): keep the largest losses of a small model, `proxy`."""

    proxy: str = "resnet20"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.proxy:
            raise ValueError("proxy must be resnet20 or the name of a timm model, got ''")

    def score(self, observed: Observations) -> Tensor:
        return F.cross_entropy(observed.logits, observed.targets, reduction="none")
