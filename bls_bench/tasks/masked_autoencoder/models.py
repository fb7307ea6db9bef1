"""Masked autoencoders of transformers: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Images
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from bls_bench.tasks.masked_autoencoder.network import Masked


@dataclass(frozen=True, kw_only=True)
class ViTMAE(Model):
    """A vision transformer that sees some patches, and a smaller one that finds the others.

    patch: side of a patch in pixels, which has to divide that of the image. hidden: the share of patches that
    are hidden, in (0, 1). layers, width, heads: of the encoder; decoder_layers, decoder_width, decoder_heads:
    of the decoder.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images"})
    gives: ClassVar[frozenset[str]] = frozenset({"reconstructing"})
    requires: ClassVar[tuple[str, ...]] = ("transformers",)
    extra: ClassVar[str] = "text"
    patch: int = 2
    hidden: float = 0.75
    layers: int = 4
    width: int = 64
    heads: int = 4
    decoder_layers: int = 1
    decoder_width: int = 32
    decoder_heads: int = 4

    def __post_init__(self) -> None:
        for name in ("patch", "layers", "width", "heads", "decoder_layers", "decoder_width", "decoder_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("", "decoder_"):
            width, heads = getattr(self, f"{name}width"), getattr(self, f"{name}heads")
            # Places are sines and cosines of either direction: four parts of the width.
            if width % heads or width % 4:
                raise ValueError(
                    f"{name}width must be a multiple of 4 and of {name}heads={heads}, got {width}"
                )
        if not 0 < self.hidden < 1:
            raise ValueError(f"hidden must be in (0, 1), got {self.hidden}")

    def build(self, info: Images) -> Masked:
        """Build the model for images (b, channels, image_size, image_size).

        Raises InputError for patches that do not fit the images, or of which none or all would be hidden.
        """
        from bls_bench.tasks.masked_autoencoder.network import Masked

        if info.image_size % self.patch:
            raise InputError(
                f"model.patch must divide the side of the images, {info.image_size}, got {self.patch}"
            )
        patches = (info.image_size // self.patch) ** 2
        if not 0 < int(patches * (1 - self.hidden)) < patches:
            raise InputError(f"model.hidden={self.hidden} of {patches} patches leaves none or all to be seen")
        return Masked(self, info)
