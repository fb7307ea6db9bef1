"""Influence functions of the last layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bls_bench.static.observations import Observations
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


# Share of its mean diagonal that is added to a Hessian factor's diagonal, so that it can be inverted, and the
# least that is: where every prediction is certain a factor is zero.
DAMPING, LEAST_DAMPING = 0.01, 1e-12


# Rows that are in memory as float64 at a time.
BLOCK = 1024


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
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for block in rows.split(BLOCK):
        total += block.double().T @ block.double()
    return total / len(rows)


def solved(matrix: Tensor, rows: Tensor) -> Tensor:
    """Damp the symmetric (k, k) float64 matrix and multiply the (n, k) rows by its inverse, both in place."""
    matrix.diagonal().add_(max(DAMPING * float(matrix.diagonal().mean()), LEAST_DAMPING))
    inverse = torch.linalg.inv(matrix)
    for block in rows.split(BLOCK):
        block.copy_(block.double() @ inverse)
    return rows
