"""A Kalman filter on batch losses that knows the classes: their mean losses are found too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bls_bench.pruning.saved import rows_or_numbers
from bls_bench.pruning.scorers.kalman import KalmanScore
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class KalmanClassesScore(KalmanScore):
    """`kalman`, whose samples share a part of their loss with their class: ours, not the papers'.

    The model: a sample's loss is c + m_k + x_i, for its class k. Batches hold different shares h_k of the
    classes, so that some dozens of batches tell the C numbers m_k, which the N numbers x_i hide without
    them. The score is m_k + x_i. No loss of a single sample is needed, only its class.

    m has the prior variance `class_variance` (x has 1) and forgets as x does: m <- rho m,
    P <- rho^2 P + (1 - rho^2) class_variance I. The batches of an epoch correct it at once, with residuals
    r = L - mean of s_j - h m - c of variance R = S / B: P <- (P^-1 + sum h h^T / R)^-1,
    m <- m + P sum h r / R. What is left of r corrects the x_i as in `kalman`. P is (C, C), float64.

    class_variance: above 0. A large one follows the classes soon, also where they hardly differ.
    """

    signal: ClassVar[str | None] = "classes"

    class_variance: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.class_variance > 0:
            raise ValueError(f"class_variance must be above 0, got {self.class_variance}")
        self._classes: Tensor | None = None  # (N,) int64, -1 for one not seen yet
        self._within: Tensor | None = None  # (N,) float32, x_i
        self._means: Tensor | None = None  # (C,) float64, m
        self._covariance: Tensor | None = None  # (C, C) float64, P

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        assert visits.signals is not None
        if self._classes is None or self._within is None:
            self._classes = torch.full(scores.shape, -1, dtype=torch.int64)
            self._within = torch.zeros_like(scores)
        self._classes.scatter_(0, visits.indices, visits.signals.long())
        means, covariance = self._drifted_classes(int(self._classes.max()) + 1)
        shares = class_shares(visits, self._classes, len(means))
        own, spread = self.drifted(self._within, visits)
        foretold = visits.batch_means(own) + (shares @ means).float()
        residual = self.less_mean(visits.batch_losses - foretold, visits.batches_per_process)
        weighted = shares / (self.totals(spread, visits) / visits.batch_sizes).double()[:, None]
        self._covariance = (covariance.inverse() + shares.T @ weighted).inverse()
        moved = self._covariance @ (weighted.T @ residual.double())
        self._means = means + moved
        self.correct(self._within, own, spread, residual - (shares @ moved).float(), visits)
        seen = self._classes >= 0
        scores.copy_(self._within)
        scores[seen] += self._means.float()[self._classes[seen]]

    def _drifted_classes(self, count: int) -> tuple[Tensor, Tensor]:
        """Return m and P of `count` classes after another epoch; new ones begin at 0 with the prior."""
        rho, prior = self.rho, torch.eye(count).double() * self.class_variance
        if self._means is None or self._covariance is None:
            return torch.zeros(count).double(), prior
        new = count - len(self._means)
        old = torch.nn.functional.pad(self._covariance, (0, new, 0, new))
        old.diagonal()[count - new :] = self.class_variance
        means = torch.nn.functional.pad(self._means, (0, new))
        return means * rho, old * rho**2 + prior * (1 - rho**2)

    def state_dict(self) -> dict[str, Any]:
        own = {"classes": self._classes, "within": self._within}
        return {**super().state_dict(), **own, "means": self._means, "covariance": self._covariance}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._classes, self._within = state["classes"], state["within"]
        self._means, self._covariance = state["means"], state["covariance"]

    def fits(self, state: Any, num_samples: int) -> bool:
        """The classes beside it: C means and their (C, C) covariance."""
        if not isinstance(state, dict) or state.keys() != self.state_dict().keys():
            return False
        means, covariance = state["means"], state["covariance"]
        rows = {name: value for name, value in state.items() if name not in ("means", "covariance")}
        if not rows_or_numbers(rows, rows, num_samples):
            return False
        if means is None or covariance is None:
            return means is covariance
        return (
            isinstance(means, torch.Tensor)
            and isinstance(covariance, torch.Tensor)
            and means.ndim == 1
            and covariance.shape == (len(means), len(means))
            and means.dtype == covariance.dtype == torch.float64
        )


def class_shares(visits: Visits, classes: Tensor, count: int) -> Tensor:
    """Return the share of each of `count` classes in each batch, (n, count) float64.

    classes: (N,) int64, of all samples, those visited at least 0.
    """
    batches = len(visits.batch_sizes)
    cells = torch.arange(batches).repeat_interleave(visits.batch_sizes) * count
    cells += classes[visits.indices]
    counted = cells.bincount(minlength=batches * count).view(batches, count)
    return counted.double() / visits.batch_sizes[:, None]
