"""Random pruning: the baseline that looks at no score."""

from dataclasses import dataclass

from bls_bench.pruning.pruner import Epoch, Pruner, check_rate
from bls_bench.pruning.selection import Selection


@dataclass(kw_only=True)
class RandomPruner(Pruner):
    """A fresh uniform draw of int((1 - prune_ratio) * N) samples each epoch, all with weight 1."""

    prune_ratio: float = 0.5

    def __post_init__(self) -> None:
        check_rate("prune_ratio", self.prune_ratio)

    def select(self, epoch: Epoch) -> Selection:
        return Selection(epoch.sample(self.prune_ratio))
