"""RePB with importance sampling inside its windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bls_bench.pruning.pruner import Epoch, check_fraction
from bls_bench.pruning.pruners.importance import inclusion, kept_share
from bls_bench.pruning.pruners.repb import ABSENT, RePBPruner
from bls_bench.pruning.saved import are_samples, column
from bls_bench.pruning.selection import systematic
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class RePBImportancePruner(RePBPruner):
    """RePB (ICLR 2026, Table 9) with the sampling of Salaun et al. (2023) in place of its threshold.

    A sample of a window stays with a probability in proportion to its score, 1 - prune_ratio on average over
    the window; `smoothing` is the share of the window's mean score that is mixed in. All else is RePB's.
    """

    smoothing: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction("smoothing", self.smoothing)
        # The last epoch: its samples, (M,) int64, their scores, (M,), and the sizes of its windows.
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def observe(self, visits: Visits, scores: Tensor) -> None:
        super().observe(visits, scores)
        seen = visits.indices
        self._last = seen, scores.index_select(0, seen), self._window_sizes(visits)

    def natural_share(self, num_epochs: int, below_mean: float = 0.5) -> float:
        kept = 1 - self.prune_ratio
        epochs = self.prunable(num_epochs)
        shares = [self.prune_ratio if self.resample else 1 - kept**e for e in epochs]
        return sum(shares) / num_epochs

    def _lucky(self, epoch: Epoch) -> Tensor:
        return self._drawn(epoch, self.prune_ratio)

    def _sent_to_target(self, epoch: Epoch, share: float) -> tuple[Tensor, float]:
        assert self._last is not None
        seen, silent = len(self._last[0]), int(self._silent().count_nonzero())
        if self.resample:
            rho = min(share * (epoch.num_samples / max(epoch.num_samples - silent, 1)), self.most)
        else:  # all are left out that are absent already
            rho = max(1 - ((1 - share) * epoch.num_samples - silent) / max(seen, 1), 0.0)
        return self._drawn(epoch, rho), rho

    def _silent(self) -> Tensor:
        """Say who was trained on and gave no loss in the last epoch, (N,) bool."""
        assert self._last is not None
        assert self._verdict is not None
        silent = self._verdict != ABSENT
        silent[self._last[0]] = False
        return silent

    def _drawn(self, epoch: Epoch, rho: float) -> Tensor:
        assert self._last is not None
        (seen, scores, sizes), silent = self._last, self._silent()
        pool = epoch.num_samples - int(silent.count_nonzero()) if self.resample else len(seen)
        stay = kept_share(rho, pool)
        chances = torch.full((epoch.num_samples,), stay if self.resample else 0.0, dtype=torch.float64)
        chances[seen] = inclusion(scores, sizes, stay, self.smoothing)
        chances[silent] = 1.0
        return systematic(chances, epoch.generator)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "last": self._last}

    def fits(self, state: Any, num_samples: int) -> bool:
        if not isinstance(state, dict) or not super().fits({**state, "last": None}, num_samples):
            return False
        last = state["last"]
        if last is None or not isinstance(last, tuple) or len(last) != 3:
            return last is None
        seen, scores, sizes = last
        fine = are_samples(seen, num_samples) and column(scores, len(seen), torch.float32)
        return fine and column(sizes, len(sizes), torch.int64) and int(sizes.sum()) == len(seen)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._last = state["last"]
