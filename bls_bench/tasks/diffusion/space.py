"""Where noise is added: to the pixels themselves, or to something that stands for an image."""

from __future__ import annotations

from torch import Tensor, nn

from bls_bench.data.base import Images


class Space(nn.Module):
    """shape: of a clean sample (C, H, W). bounded: whether its values lie in [-1, 1]."""

    shape: tuple[int, int, int]
    bounded: bool

    def encode(self, images: Tensor) -> Tensor:
        """Return the clean samples (b, *shape) of normalised images (b, C, H, W)."""
        raise NotImplementedError

    def decode(self, clean: Tensor) -> Tensor:
        """Return the pixels in [0, 1] of clean samples."""
        raise NotImplementedError


class PixelSpace(Space):
    """Pixels from -1 to 1."""

    bounded = True

    def __init__(self, info: Images) -> None:
        super().__init__()
        self.info, self.shape = info, (info.channels, info.image_size, info.image_size)

    def encode(self, images: Tensor) -> Tensor:
        return self.info.pixels(images) * 2 - 1

    def decode(self, clean: Tensor) -> Tensor:
        return ((clean + 1) / 2).clamp(0, 1)
