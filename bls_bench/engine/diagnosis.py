"""What scores know: of the samples' losses, and of when a sample was last trained on."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy.stats import ConstantInputWarning, spearmanr
from torch import Tensor


def rank_correlation(scores: Tensor, values: Tensor) -> float | None:
    """Spearman's rank correlation of scores (M,) and values (M,), samples without a score (NaN) left out.

    None where there is nothing to rank: fewer than three scored samples, or all scores or values equal.
    """
    scored = ~scores.isnan()
    if int(scored.sum()) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        found = float(spearmanr(scores[scored].numpy(), values[scored].numpy()).statistic)
    return None if found != found else found


def weighing(weights: Tensor | None, selected: int, num_samples: int) -> dict[str, float]:
    """Say what the weights (K,) of an epoch's `selected` samples do; None: all are 1.

    weight_sum: their sum, as a share of the N samples; 1 leaves the losses as large as without pruning.
    weight_spread: their standard deviation as a share of their mean.
    """
    if weights is None:
        return {"weight_sum": selected / num_samples, "weight_spread": 0.0}
    values = weights.double()
    return {
        "weight_sum": float(values.sum()) / num_samples,
        "weight_spread": float(values.std(correction=0) / values.mean()),
    }


class Absence:
    """How long ago each sample was last trained on.

    A score that follows the falling loss tells when a sample was last seen instead of how hard it is; its
    rank correlation with the absence shows how much of that there is.
    """

    def __init__(self, num_samples: int) -> None:
        self._last = torch.full((num_samples,), -1, dtype=torch.int32)

    def correlation(self, scores: Tensor, epoch: int) -> float | None:
        """Correlate the scores (N,) that an epoch used with the epochs since; the never seen are left out."""
        seen = self._last >= 0
        return rank_correlation(scores[seen], epoch - self._last[seen])

    def trained(self, indices: Tensor, epoch: int) -> None:
        """Note that the (m,) samples were trained on in an epoch."""
        self._last.index_fill_(0, indices, epoch)

    def state_dict(self) -> dict[str, Any]:
        return {"last": self._last.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._last = state["last"].clone()


def spread(scores: Tensor, weights: Tensor | None) -> dict[str, np.ndarray]:
    """Return the scores that are known, of scores (N,), and the weights (K,) of the samples kept, if any."""
    found = {"scores": scores[scores.isfinite()], "weights": weights}
    return {name: values.numpy() for name, values in found.items() if values is not None and len(values)}
