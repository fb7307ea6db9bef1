"""Random scores beside the losses of the samples: the control of the methods that have these."""

from dataclasses import dataclass
from typing import ClassVar

from bls_bench.pruning.scorers.random import RandomScore


@dataclass(kw_only=True)
class RandomPerSampleScore(RandomScore):
    """A control: the scores of `random`, where weights multiply each sample's loss, mean(w_i l_i).

    `random` itself stands beside the scorers of batch losses, of which only L * mean(w) can be had.
    """

    per_sample: ClassVar[bool] = True
