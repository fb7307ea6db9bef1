"""What a loss is made of, averaged over an epoch without making any step wait for the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from bls_bench.engine.evaluation import gathered


class MeanParts:
    """Sums of the parts of the batches so far, each weighted by its samples. count: the samples of all."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, parts: Mapping[str, Tensor], samples: int) -> None:
        for name, value in parts.items():
            more = value.detach().double() * samples
            self._sums[name] = self._sums[name] + more if name in self._sums else more
        self.count += samples

    def means(self, fabric: Fabric) -> dict[str, float]:
        """Return the mean of each part over all processes, as `loss_NAME`; a collective call."""
        states = gathered(self.state_dict(), fabric)
        count = sum(state["count"] for state in states)
        names = dict.fromkeys(name for state in states for name in state["sums"])
        return {
            f"loss_{name}": sum(state["sums"].get(name, 0.0) for state in states) / count for name in names
        }

    def state_dict(self) -> dict[str, Any]:
        return {"sums": {name: float(value) for name, value in self._sums.items()}, "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        sums = state["sums"].items()
        self._sums = {name: torch.tensor(value, dtype=torch.float64, device=device) for name, value in sums}
        self.count = state["count"]
