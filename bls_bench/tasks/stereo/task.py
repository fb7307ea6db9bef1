"""Multi-view stereo: the settings of the task."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.tasks.base import Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.stereo.objective import Matching


@dataclass(frozen=True, kw_only=True)
class Stereo(Task):
    """The depth of every pixel of a picture: the mean error, and the share of depths that are good.

    per_sample: the loss is one a picture, the mean over its pixels; else one a batch, over all its pixels.
    Pixels of unknown depth count in neither. bound: a depth is good that is less than this many metres off.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"views", "depths"})
    per_sample: bool = True
    bound: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.bound < math.inf:
            raise ValueError(f"bound must be a number of metres above 0, got {self.bound}")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return Metric("within", "higher", "%", margin=1.0), Metric("mean_error", "lower", "m")

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample"} if self.per_sample else ())

    def build(self, data: Data, seed: int) -> Matching:
        from bls_bench.tasks.stereo.objective import Matching

        return Matching(self, data.info)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.stereo.objective import depicted

        return depicted(data, indices)
