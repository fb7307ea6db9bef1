"""Whether a sample was classified rightly: what a scoring run notes."""

from dataclasses import dataclass
from typing import ClassVar

from bls_bench.pruning.scorer import SignalScore


@dataclass(kw_only=True)
class Correctness(SignalScore):
    """1 if the sample was classified rightly, else 0: what forgetting events are counted from."""

    signal: ClassVar[str | None] = "correct"
