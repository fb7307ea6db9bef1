"""Selection via proxy: keep the largest losses of a small model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.static.observations import Observations
from bls_bench.static.ranking import RankingPruner
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class ProxyTopK(RankingPruner):
    """Selection via proxy (Coleman et al. 2020): keep the largest losses of a small model, `proxy`."""

    proxy: str = "resnet20"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.proxy:
            raise ValueError("proxy must be resnet20 or the name of a timm model, got ''")

    def score(self, observed: Observations) -> Tensor:
        return torch.nn.functional.cross_entropy(observed.logits, observed.targets, reduction="none")
