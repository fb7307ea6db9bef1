"""Static pruners by influence functions of the last layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bls_bench.pruning.selection import largest
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner

# Share of its mean diagonal that is added to a Hessian factor's diagonal, so that it can be inverted.
DAMPING = 0.01


@dataclass(kw_only=True)
class Influence(ScoringPruner):
    """Influence (Koh & Liang 2017): keep the samples that move the last layer most, ||H^-1 g_i||."""

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        left, right = influences(observed)
        return largest(left.norm(dim=1) * right.norm(dim=1), count, generator), None


@dataclass(kw_only=True)
class DatasetPruning(ScoringPruner):
    """Dataset pruning (Yang et al. 2023, Eq. 7): leave out samples whose influences cancel.

    Of all sets of the wanted size, one with a small norm of its summed influences is left out; found
    greedily, where the paper anneals.
    """

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        out = cancelling(*influences(observed), len(observed) - count)
        keep = torch.ones(len(observed), dtype=torch.bool).index_fill_(0, out, False)
        return keep.nonzero().squeeze(1), None


def influences(observed: Observations) -> tuple[Tensor, Tensor]:
    """Return factors (N, C) and (N, d + 1) of H^-1 g_i: leaving sample i out moves the weights by 1/N of it.

    H is the last layer's Hessian in its Kronecker form: the mean of diag(p) - p p^T times that of h h^T.
    """
    left, right = observed.gradients()
    p = observed.logits.softmax(1)
    outputs = p.mean(0).diag() - p.T @ p / len(p)
    inputs = right.T @ right / len(right)
    return solved(outputs, left), solved(inputs, right)


def solved(matrix: Tensor, rows: Tensor) -> Tensor:
    """Return rows (n, k) times the inverse of the damped symmetric (k, k) matrix."""
    damped = matrix.double() + DAMPING * matrix.diagonal().mean().double() * torch.eye(len(matrix))
    return torch.linalg.solve(damped, rows.double().T).T.float()


def cancelling(left: Tensor, right: Tensor, count: int) -> Tensor:
    """Return `count` of the vectors with factors (n, C), (n, d), greedily keeping their sum small."""
    squares = left.square().sum(1) * right.square().sum(1)  # infinite for a chosen one
    products, chosen = torch.zeros(len(left)), []  # of each vector with the sum of those chosen
    for _ in range(count):
        chosen.append(int((squares + 2 * products).argmin()))
        squares[chosen[-1]] = torch.inf
        products += (left @ left[chosen[-1]]) * (right @ right[chosen[-1]])
    return torch.tensor(chosen, dtype=torch.int64)
