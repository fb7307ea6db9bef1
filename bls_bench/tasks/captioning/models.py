"""Networks that say what is on a picture: an encoder of pictures and a decoder of words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system import settings
from bls_bench.tasks.base import Model
from bls_bench.tasks.captioning.data import Captions

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Captioner(Model):
    """An image encoder, and a transformer's decoder that looks at what it sees.

    encoder: cnn, a small network, or a model of timm. weights: of timm's, a file of a state dict, or DEFAULT
    for its own (downloaded); null: random ones. layers, width, heads, dropout: of the decoder.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images", "captions"})
    gives: ClassVar[frozenset[str]] = frozenset({"next_words"})
    encoder: str = "cnn"
    weights: str | None = settings.folder(None)
    layers: int = 2
    width: int = 128
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads={self.heads}, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.weights is not None and self.encoder == "cnn":
            raise ValueError(f"weights must be null for encoder=cnn, got {self.weights}")

    def build(self, info: Captions) -> nn.Module:
        """Build the network: images (b, 3, S, S) and words (b, t) in, logits (b, t, words) of the next out.

        Of images alone it makes captions, (b, info.longest) int64.
        Raises InputError for an encoder that does not exist or cannot take images of this size.
        """
        from bls_bench.tasks.captioning.network import CaptionNet

        return CaptionNet(self, info)
