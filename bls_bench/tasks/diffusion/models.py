"""Networks that find the noise in an image: their settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Images
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from bls_bench.tasks.diffusion.networks import Denoiser


@dataclass(frozen=True, kw_only=True)
class UNet(Model):
    """diffusers' UNet2DModel.

    widths: channels at each level, each of half the side of the one before. layers: residual blocks a level.
    attention: sides of the levels that have self-attention. dropout: in the residual blocks.
    """

    requires: ClassVar[tuple[str, ...]] = ("diffusers",)
    extra: ClassVar[str] = "generation"
    needs: ClassVar[frozenset[str]] = frozenset({"images"})
    gives: ClassVar[frozenset[str]] = frozenset({"denoising"})
    widths: list[int] = field(default_factory=lambda: [32, 64])
    layers: int = 1
    attention: list[int] = field(default_factory=lambda: [4])
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not self.widths or any(width < 8 or width % 8 for width in self.widths):
            raise ValueError(f"widths must be multiples of 8, one a level, got {self.widths}")
        if self.layers < 1:
            raise ValueError(f"layers must be at least 1, got {self.layers}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    def build(self, info: Images) -> Denoiser:
        from bls_bench.tasks.diffusion.networks import Denoiser

        halved = 2 ** (len(self.widths) - 1)
        if info.image_size % halved:
            raise InputError(
                f"model.widths has {len(self.widths)} levels, for which the side of the images must be a "
                f"multiple of {halved}, got {info.image_size}"
            )
        return Denoiser(self, info.channels, info.image_size, info.num_classes)
