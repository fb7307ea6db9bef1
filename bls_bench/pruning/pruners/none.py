"""Full data: the baseline that leaves nothing out."""

from dataclasses import dataclass
from typing import ClassVar

from bls_bench.pruning.pruner import Epoch, Pruner
from bls_bench.pruning.selection import Selection


@dataclass(kw_only=True)
class NoPruning(Pruner):
    """Full data: every sample in every epoch, in a fresh random order."""

    scores: ClassVar[bool] = False

    def select(self, epoch: Epoch) -> Selection:
        return epoch.everything()
