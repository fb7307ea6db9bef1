"""The variational autoencoder: the settings of the task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system.settings import folder
from bls_bench.tasks.base import Metric, Task
from bls_bench.tasks.generation.settings import check_samples, fid_metric

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.vae.objective import Bounding


@dataclass(frozen=True, kw_only=True)
class VAE(Task):
    """The negative evidence lower bound (Kingma & Welling 2014), of each sample or as the mean of a batch.

    per_sample: which of the two it gives. samples: images generated for FID. inception: the file of
    InceptionV3's weights, for a FID as published; null for one on own features, named `fid_own`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images", "autoencoding"})
    per_sample: bool = True
    samples: int = 1000
    inception: str | None = folder(None)

    def __post_init__(self) -> None:
        check_samples(self.samples)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (fid_metric(self.inception), Metric("elbo", "higher", "nats"))

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample"}) if self.per_sample else frozenset()

    def build(self, data: Data, seed: int) -> Bounding:
        from bls_bench.tasks.vae.objective import Bounding

        return Bounding(self, data)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.showing import images

        return images(data, indices)
