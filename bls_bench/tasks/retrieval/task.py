"""Retrieval across views: the settings of the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.tasks.base import Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.retrieval.objective import Matching

LOSSES = ("info_nce", "soft_margin")


@dataclass(frozen=True, kw_only=True)
class Retrieval(Task):
    """A pair's two views beside those of the other pairs in its batch; how often its other view is found.

    loss: info_nce (van den Oord et al. 2018, both ways) or soft_margin, the soft-margin triplet loss (Hu et
    al. 2018) over all triplets. sharpness: what likeness is multiplied by, one over the temperature.
    per_sample: the loss is one a pair, which hangs on the others of its batch; else one a batch, their mean.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pairs", "embeddings"})
    loss: str = "info_nce"
    sharpness: float = 10.0
    per_sample: bool = True

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        if not self.sharpness > 0:
            raise ValueError(f"sharpness must be above 0, got {self.sharpness}")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            Metric("R1", "higher", "%", margin=2.0),
            *(Metric(name, "higher", "%") for name in ("R5", "R10", "R1percent")),
        )

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample"} if self.per_sample else ())

    def build(self, data: Data, seed: int) -> Matching:
        from bls_bench.tasks.retrieval.objective import Matching

        return Matching(self, data.info)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.retrieval.objective import side_by_side

        return side_by_side(data, indices)
