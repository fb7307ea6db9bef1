"""Networks that find the noise in codes: their settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Images
from bls_bench.system.errors import InputError
from bls_bench.tasks.diffusion.models import UNet

if TYPE_CHECKING:
    from bls_bench.tasks.diffusion.networks import Denoiser


@dataclass(frozen=True, kw_only=True)
class LatentUNet(UNet):
    """The UNet of `model=unet2d` for codes of so many channels, whose side is smaller by `factor`."""

    gives: ClassVar[frozenset[str]] = frozenset({"latent_denoising"})
    channels: int = 4
    factor: int = 2

    def build(self, info: Images) -> Denoiser:
        if info.image_size % self.factor:
            raise InputError(
                f"task.factor={self.factor} must divide the side of the images, {info.image_size} pixels"
            )
        size = info.image_size // self.factor
        return super().build(replace(info, channels=self.channels, image_size=size))
