"""The norm of the loss' gradient in the last layer's weights."""

from dataclasses import dataclass
from typing import ClassVar

from bls_bench.pruning.scorer import SignalScore


@dataclass(kw_only=True)
class GradientNorm(SignalScore):
    """||p - y|| * ||h||, the norm of the loss' gradient in the weights of the last layer."""

    signal: ClassVar[str | None] = "gradient_norm"
