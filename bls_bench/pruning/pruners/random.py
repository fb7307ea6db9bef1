"""Random pruning: the baseline that looks at no score."""

from dataclasses import dataclass
from typing import ClassVar

from bls_bench.pruning.pruner import Epoch
from bls_bench.pruning.rate import RatedPruner
from bls_bench.pruning.selection import Selection


@dataclass(kw_only=True)
class RandomPruner(RatedPruner):
    """A fresh uniform draw of int((1 - prune_ratio) * N) samples each epoch, all with weight 1."""

    scores: ClassVar[bool] = False

    def draw(self, epoch: Epoch, share: float | None) -> Selection:
        share = self.prune_ratio if share is None else share
        return Selection(epoch.sample(share), prune_ratio=share)
