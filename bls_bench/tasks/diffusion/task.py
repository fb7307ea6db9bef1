"""Denoising diffusion: the settings of the task."""

from __future__ import annotations

import math
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
    from bls_bench.tasks.diffusion.objective import Diffusing

GUIDANCE = ("none", "classifier_free", "classifier")
SCHEDULES = ("linear", "cosine", "ldm")
SAMPLERS = ("ddim", "ddpm")


@dataclass(frozen=True, kw_only=True)
class Diffusion(Task):
    """The squared error of the noise at random times (DDPM, Ho et al. 2020), of each sample or of a batch.

    per_sample: which of the two it gives. guidance: how samples are led to their class, by a model that
    learns with and without it (classifier_free, Ho & Salimans 2022) or by a classifier of noisy images
    (classifier, Dhariwal & Nichol 2021); guidance_scale: how strongly, 1 is the distribution itself;
    drop: the share of training samples whose class is hidden, for classifier_free.
    times: steps of the noising process; schedule: how its variances grow, linear, cosine or as in ldm
    (Rombach et al. 2022).
    sampler: ddim or ddpm, in `steps` steps. samples: images generated for FID. inception: the file of
    InceptionV3's weights, for a FID as published; null for one on own features, named `fid_own`.
    """

    requires: ClassVar[tuple[str, ...]] = ("diffusers",)
    extra: ClassVar[str] = "generation"
    needs: ClassVar[frozenset[str]] = frozenset({"images", "denoising"})
    per_sample: bool = True
    guidance: str = "none"
    guidance_scale: float = 1.5
    drop: float = 0.1
    times: int = 1000
    schedule: str = "linear"
    sampler: str = "ddim"
    steps: int = 20
    samples: int = 500
    inception: str | None = folder(None)

    def __post_init__(self) -> None:
        check_samples(self.samples)
        for name, allowed in (("guidance", GUIDANCE), ("schedule", SCHEDULES), ("sampler", SAMPLERS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not 0 <= self.guidance_scale < math.inf:
            raise ValueError(f"guidance_scale must be a number of at least 0, got {self.guidance_scale}")
        if not 0 <= self.drop < 1:
            raise ValueError(f"drop must be in [0, 1), got {self.drop}")
        if self.times < 2:
            raise ValueError(f"times must be at least 2, got {self.times}")
        if not 1 <= self.steps <= self.times:
            raise ValueError(f"steps must be between 1 and times={self.times}, got {self.steps}")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (fid_metric(self.inception),)

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample", "time"}) if self.per_sample else frozenset()

    def build(self, data: Data, seed: int) -> Diffusing:
        from bls_bench.tasks.diffusion.objective import Diffusing
        from bls_bench.tasks.diffusion.space import PixelSpace

        return Diffusing(self, data, PixelSpace(data.info))

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.showing import images

        return images(data, indices)
