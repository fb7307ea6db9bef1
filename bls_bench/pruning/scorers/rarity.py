"""How rare the class of a sample is: the control that knows the classes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class RarityScore(Scorer):
    """A control: n / (C * n_c), for n samples seen of C classes, of which n_c are of the sample's own.

    It looks at no loss. A mean score is 1, and importance sampling by it balances the classes.
    """

    per_sample: ClassVar[bool] = True
    signal: ClassVar[str | None] = "classes"

    def __post_init__(self) -> None:
        self._classes: Tensor | None = None  # (N,) int64, -1 for one not seen yet

    def update(self, scores: Tensor, counts: Tensor, visits: Visits, generator: torch.Generator) -> None:
        assert visits.signals is not None
        if self._classes is None:
            self._classes = torch.full(scores.shape, -1, dtype=torch.int64)
        self._classes.scatter_(0, visits.indices, visits.signals.long())
        seen = self._classes >= 0
        own = self._classes[seen]
        sizes = own.bincount()
        scores[seen] = len(own) / (sizes.count_nonzero() * sizes[own]).float()

    def state_dict(self) -> dict[str, Any]:
        return {"classes": self._classes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._classes = state["classes"]
