"""How close the two best classes are."""

from dataclasses import dataclass
from typing import ClassVar

from bls_bench.pruning.scorer import SignalScore


@dataclass(kw_only=True)
class Margin(SignalScore):
    """1 - (p_1 - p_2), of the two highest probabilities."""

    signal: ClassVar[str | None] = "margin"
