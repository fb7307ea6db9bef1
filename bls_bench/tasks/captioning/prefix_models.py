"""A language model that continues what an image encoder says: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system import settings
from bls_bench.tasks.captioning.data import Captions
from bls_bench.tasks.captioning.models import Captioner

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class PrefixGPT2(Captioner):
    """An image encoder, a small transformer that makes embeddings of what it sees, and a GPT-2 behind them.

    encoder, weights: as of `captioner`. prefix: how many embeddings stand before the first word. mapper:
    layers of the transformer that makes them. gpt2: a folder of a GPT-2 that transformers saved, with its
    tokenizer; null: one of random weights, of `layers`, `width` and `heads`, for the words of the data set.
    frozen: GPT-2 stays as it is in the folder. dropout: of both transformers.
    """

    requires: ClassVar[tuple[str, ...]] = ("transformers",)
    extra: ClassVar[str] = "text"
    prefix: int = 10
    mapper: int = 1
    gpt2: str | None = settings.folder(None)
    frozen: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("prefix", self.prefix), ("mapper", self.mapper)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
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
