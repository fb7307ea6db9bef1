"""The distance of the prediction from the target."""

from dataclasses import dataclass
from typing import ClassVar

from bls_bench.pruning.scorer import SignalScore


@dataclass(kw_only=True)
class ErrorNorm(SignalScore):
    """||p - y||, EL2N of the one model that trains (Paul et al. 2021).

    It is also the norm of the gradient in the last layer's output, which bounds that in all weights up to a
    constant (Katharopoulos & Fleuret 2018).
    """

    signal: ClassVar[str | None] = "error_norm"
