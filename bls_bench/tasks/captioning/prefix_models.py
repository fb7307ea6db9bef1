"""A language model that continues what an image encoder says: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system import settings
from bls_bench.tasks.base import Model
from bls_bench.tasks.captioning.data import Captions

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class PrefixGPT2(Model):
    """An image encoder, a small transformer that makes embeddings of what it sees, and a GPT-2 behind them.

    encoder, weights: as of `captioner`. prefix: how many embeddings stand before the first word. mapper:
    layers of the transformer that makes them. gpt2: a folder of a GPT-2 that transformers saved, with its
    tokenizer; null: one of random weights, of `layers`, `width` and `heads`, for the words of the data set.
    frozen: GPT-2 stays as it is in the folder. dropout: of both transformers.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images", "captions"})
    gives: ClassVar[frozenset[str]] = frozenset({"next_words"})
    requires: ClassVar[tuple[str, ...]] = ("transformers",)
    extra: ClassVar[str] = "text"
    encoder: str = "cnn"
    weights: str | None = settings.folder(None)
    prefix: int = 10
    mapper: int = 1
    gpt2: str | None = settings.folder(None)
    frozen: bool = False
    layers: int = 2
    width: int = 128
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("prefix", "mapper", "layers", "width", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads={self.heads}, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.weights is not None and self.encoder == "cnn":
            raise ValueError(f"weights must be null for encoder=cnn, got {self.weights}")
        if self.frozen and self.gpt2 is None:
            raise ValueError("gpt2 must be a folder with frozen=true: random weights would stay random")

    def build(self, info: Captions) -> nn.Module:
        """Build the network: images (b, 3, S, S) and words (b, t) in, logits (b, t, words) of the next out.

        Of images alone it makes captions, (b, info.longest) int64. Raises InputError for an encoder as
        `Captioner` does, for a folder that holds no GPT-2, one of other tokens than the captions have, and
        one that takes fewer positions.
        """
        from bls_bench.tasks.captioning.prefix import PrefixNet

        return PrefixNet(self, info)
