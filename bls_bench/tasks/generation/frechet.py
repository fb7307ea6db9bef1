"""The Fréchet distance of two sets of features, each taken as a normal distribution."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """What is to be known of features (n, d): how many, their sum (d,) and that of their products (d, d).

    float64 on the CPU; the moments of two sets add up.
    """

    size: int
    total: Tensor
    products: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        values = features.detach().double().cpu()
        return cls(len(values), values.sum(0), values.T @ values)

    def plus(self, other: Moments) -> Moments:
        return Moments(self.size + other.size, self.total + other.total, self.products + other.products)

    def mean(self) -> Tensor:
        return self.total / self.size

    def covariance(self) -> Tensor:
        """The unbiased one, as in all published implementations."""
        mean = self.mean()
        return (self.products - self.size * mean.outer(mean)) / (self.size - 1)


def frechet_distance(one: Moments, other: Moments) -> float:
    """Return |m - m'|^2 + tr(C + C' - 2 (C C')^1/2) (Heusel et al. 2017).

    The trace of the root is that of (R C' R)^1/2 with R = C^1/2, a symmetric matrix: its eigenvalues are
    real and at least 0, where a general root has to be cleared of imaginary parts.
    """
    apart = (one.mean() - other.mean()).square().sum()
    covariance, others = one.covariance(), other.covariance()
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ others @ root).clamp_min(0).sqrt().sum()
    return float(apart + covariance.trace() + others.trace() - 2 * overlap)
