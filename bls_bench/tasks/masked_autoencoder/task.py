"""The masked autoencoder: the settings of the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.tasks.base import Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.masked_autoencoder.objective import Reconstructing


@dataclass(frozen=True, kw_only=True)
class MaskedAutoencoder(Task):
    """The error of the hidden patches of each image (He et al. 2022), of each sample or the batch.

    per_sample: which of the two it gives. normalised: whether each patch is to be found by its own mean and
    spread, as the authors do.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images", "classes", "reconstructing"})
    per_sample: bool = True
    normalised: bool = True

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("probe_accuracy", "higher", "%", margin=0.5), Metric("reconstruction", "lower"))

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample"}) if self.per_sample else frozenset()

    def build(self, data: Data, seed: int) -> Reconstructing:
        from bls_bench.tasks.masked_autoencoder.objective import Reconstructing

        return Reconstructing(self, data)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.showing import images

        return images(data, indices)
