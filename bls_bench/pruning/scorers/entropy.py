"""The entropy of the prediction."""

from dataclasses import dataclass
from typing import ClassVar

from bls_bench.pruning.scorer import SignalScore


@dataclass(kw_only=True)
class Entropy(SignalScore):
    """Entropy of the prediction."""

    signal: ClassVar[str | None] = "entropy"
