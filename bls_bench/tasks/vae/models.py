"""The families of variational autoencoders: their settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Images
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from bls_bench.tasks.vae.networks import Autoencoder


@dataclass(frozen=True, kw_only=True)
class _Autoencoding(Model):
    """latent: numbers in the code of an image. width: hidden units, or channels of the first convolution."""

    needs: ClassVar[frozenset[str]] = frozenset({"images"})
    gives: ClassVar[frozenset[str]] = frozenset({"autoencoding"})
    latent: int
    width: int

    def __post_init__(self) -> None:
        for name in ("latent", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class MLP(_Autoencoding):
    """One hidden layer each way, as in Kingma & Welling 2014. width: its units."""

    latent: int = 16
    width: int = 400

    def build(self, info: Images) -> Autoencoder:
        from bls_bench.tasks.vae.networks import mlp

        return mlp(info, self.latent, self.width)


@dataclass(frozen=True, kw_only=True)
class Conv(_Autoencoding):
    """Two convolutions of stride 2 each way. width: channels of the first; the second has twice as many."""

    latent: int = 16
    width: int = 32

    def build(self, info: Images) -> Autoencoder:
        from bls_bench.tasks.vae.networks import conv

        if info.image_size % 4:
            raise InputError(
                f"model=vae_conv takes images whose side is a multiple of 4, got {info.image_size}: "
                "use model=vae_mlp"
            )
        return conv(info, self.latent, self.width)
