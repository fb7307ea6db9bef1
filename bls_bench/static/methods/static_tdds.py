"""TDDS: keep the samples whose prediction moves unevenly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.static.observations import Observations
from bls_bench.static.ranking import RankingPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class TDDS(RankingPruner):
    """Temporal dual-depth scoring (Zhang et al. 2024): keep the samples whose prediction moves unevenly.

    Within a sliding window of `window` epochs it is measured how unevenly the predicted distribution changed
    from epoch to epoch; the score is the moving average over the windows, the last of which counts `decay`.
    """

    noted: ClassVar[str] = "change"
    scoring_epochs: int = 10
    window: int = 5
    decay: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 3:
            raise ValueError(
                f"window must be at least 3 epochs, of which 2 changes differ, got {self.window}"
            )
        if self.window > self.scoring_epochs:
            raise ValueError(
                f"window={self.window} must be at most scoring_epochs={self.scoring_epochs}: no run has a "
                "window longer than itself"
            )
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay must be in (0, 1], got {self.decay}")

    def score(self, observed: Observations) -> Tensor:
        # The first epoch has none before it to differ from.
        changes = observed.history[1:].unfold(0, self.window - 1, 1)  # (windows, n, window - 1)
        spreads = (changes - changes.mean(2, keepdim=True)).norm(dim=2)
        age = torch.arange(len(spreads)).flip(0)
        return (self.decay * (1 - self.decay) ** age) @ spreads
