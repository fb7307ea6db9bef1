"""Static pruners by influence functions of the last layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bls_bench.pruning.selection import largest
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner

# Share of its mean diagonal that is added to a Hessian factor's diagonal, so that it can be inverted, and the
# least that is: where every prediction is certain a factor is zero.
DAMPING, LEAST_DAMPING = 0.01, 1e-12
# Rows that are in memory as float64 at a time.
BLOCK = 1024


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
    # Where p_y is near 1, p_y - 1 and p_y - p_y^2 are mere rounding: they are summed from the others' p.
    own = observed.targets[:, None]
    left.scatter_(1, own, 0)
    left.scatter_(1, own, -left.sum(1, keepdim=True))
    shared = second_moment(observed.logits.softmax(1)).fill_diagonal_(0)
    outputs = shared.sum(1).diag() - shared
    return solved(outputs, left), solved(second_moment(right), right)


def second_moment(rows: Tensor) -> Tensor:
    """Return the mean of x x^T over the (n, k) rows x, (k, k) float64."""
    return sum(block.T @ block for block in map(Tensor.double, rows.split(BLOCK))) / len(rows)


def solved(matrix: Tensor, rows: Tensor) -> Tensor:
    """Damp the symmetric (k, k) float64 matrix and multiply the (n, k) rows by its inverse, both in place."""
    matrix.diagonal().add_(max(DAMPING * float(matrix.diagonal().mean()), LEAST_DAMPING))
    inverse = torch.linalg.inv(matrix)
    for block in rows.split(BLOCK):
        block.copy_(block.double() @ inverse)
    return rows


def cancelling(left: Tensor, right: Tensor, count: int) -> Tensor:
    """Return `count` of the vectors with factors (n, C), (n, d), greedily keeping their sum small."""
    squares = left.square().sum(1) * right.square().sum(1)  # infinite for a chosen one
    products, chosen = torch.zeros(len(left)), []  # of each vector with the sum of those chosen
    for _ in range(count):
        chosen.append(int((squares + 2 * products).argmin()))
        squares[chosen[-1]] = torch.inf
        products += (left @ left[chosen[-1]]) * (right @ right[chosen[-1]])
    return torch.tensor(chosen, dtype=torch.int64)
