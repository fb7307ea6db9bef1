"""Diffusion in the codes of an autoencoder: the settings of the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system.settings import folder
from bls_bench.tasks.diffusion.task import Diffusion

if TYPE_CHECKING:
    from bls_bench.data.base import Data
    from bls_bench.tasks.latent_diffusion.objective import LatentDiffusing


@dataclass(frozen=True, kw_only=True)
class LatentDiffusion(Diffusion):
    """Diffusion in the codes that a frozen autoencoder makes of images (Rombach et al. 2022).

    autoencoder: a folder with an AutoencoderKL or VQModel as diffusers saves them; null trains a small one on
    the training images first, always with the same seed. channels: of a code; factor: by how much its side is
    smaller than the image's, a power of 2. All others as of `task=diffusion`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images", "latent_denoising"})
    autoencoder: str | None = folder(None)
    channels: int = 4
    factor: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.channels < 1:
            raise ValueError(f"channels must be at least 1, got {self.channels}")
        if self.factor < 2 or self.factor & (self.factor - 1):
            raise ValueError(f"factor must be a power of 2, at least 2, got {self.factor}")

    def build(self, data: Data, seed: int) -> LatentDiffusing:
        from bls_bench.tasks.latent_diffusion.objective import LatentDiffusing

        return LatentDiffusing(self, data)
