"""What each epoch did with each sample, kept for the page that shows it (`bls_bench.gallery`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bls_bench.gallery.history import History
from bls_bench.pruning.saved import on_cpu
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 65504.0  # of float16


class Trace:
    """Who was trained on in each epoch, and all scores after it: N / 8 + 2 N bytes an epoch.

    It changes nothing of the run. Scores are rounded to float16, and cut to what that can hold.
    """

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples
        self._kept: list[Tensor] = []
        self._scores: list[Tensor] = []

    @property
    def epochs(self) -> int:
        return len(self._kept)

    def note(self, visits: Visits, scores: Tensor) -> None:
        """Take in a finished epoch: whom it trained on, and the scores (N,) after it."""
        kept = np.zeros(self.num_samples, dtype=bool)
        kept[visits.trained.numpy()] = True
        self._kept.append(torch.from_numpy(np.packbits(kept)))
        self._scores.append(scores.clamp(-LARGEST, LARGEST).half())

    def history(self) -> History:
        """Return all of it for the page; raises ValueError before the first epoch has ended."""
        if not self.epochs:
            raise ValueError("there is nothing to look at before an epoch has ended")
        return History(
            kept=torch.stack(self._kept).numpy(),
            scores=torch.stack(self._scores).numpy(),
        )

    def state_dict(self) -> dict[str, Any]:
        return {"kept": list(self._kept), "scores": list(self._scores)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        state = on_cpu(state)
        self._kept, self._scores = list(state["kept"]), list(state["scores"])
