"""RS2: random pruning by rounds, so that every sample comes round."""

from dataclasses import dataclass
from typing import ClassVar

from bls_bench.pruning.pruner import Epoch
from bls_bench.pruning.rate import RatedPruner, lowest
from bls_bench.pruning.selection import Selection


@dataclass(kw_only=True)
class RS2Pruner(RatedPruner):
    """Repeated random sampling without replacement (Okanovic et al., ICLR 2024), all with weight 1.

    Each epoch trains on the next int((1 - prune_ratio) * N) samples of a random order; once all have had
    their turn, a new order begins, in the middle of an epoch if need be. So after any epoch the samples have
    been trained on equally often, but for one time. That is how the next are found: they are those trained
    on least often, at random among equals.
    """

    scores: ClassVar[bool] = False
    silent_version: ClassVar[int] = 2

    def draw(self, epoch: Epoch, share: float | None) -> Selection:
        share = self.prune_ratio if share is None else share
        keep = int((1 - share) * epoch.num_samples + 1e-9)
        drawn = lowest(epoch.counts.float(), keep, epoch.generator)
        return Selection.of(drawn, epoch.generator, prune_ratio=share)
