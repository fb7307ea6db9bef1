"""MetriQ: the worse a class is learned, the more of it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.pruning.rate import spread
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.static.quotas import drawn
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class MetriQ(ScoringPruner):
    """MetriQ, also DRoP (Vysogorets et al. 2025, Algorithm 1): the share of a class goes with its error.

    A class whose share would be above 1 stays whole, and the others take up what it cannot. Within a class
    the samples are drawn at random. The error is that of the scoring run on the training data.
    """

    copies: ClassVar[int] = 1

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        sizes = observed.targets.bincount(minlength=observed.num_classes)
        wrong = observed.targets[observed.logits.argmax(1) != observed.targets]
        # Laplace's rule: a class without an error among few samples still has some share.
        errors = (wrong.bincount(minlength=observed.num_classes) + 1) / (sizes + 2)
        return drawn(observed.targets, quotas(sizes.tolist(), errors.tolist(), count), generator), None


def quotas(sizes: list[int], errors: list[float], total: int) -> Tensor:
    """Share `total` <= sum of sizes out, a class getting in proportion to its size and error; (C,) int64.

    None gets more than its size. Fractions go to the largest of them.
    """
    shares = torch.tensor(spread(total, sizes, errors, 1.0), dtype=torch.float64)
    exact = shares * torch.tensor(sizes)
    whole = (exact + 1e-9).floor().long()
    most = (exact - whole).topk(total - int(whole.sum())).indices
    whole[most] += 1
    return whole
