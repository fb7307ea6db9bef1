"""Networks that read words: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn

    from bls_bench.tasks.text_recognition.data import Words


@dataclass(frozen=True, kw_only=True)
class WordNetwork(Model):
    """width: channels of the last convolution. blocks: at each of the three sizes. dropout: in it."""

    needs: ClassVar[frozenset[str]] = frozenset({"words"})
    gives: ClassVar[frozenset[str]] = frozenset({"word_logits"})
    width: int = 96
    blocks: int = 1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.width < 1 or self.width % 32:
            raise ValueError(f"width must be a multiple of 32, got {self.width}")
        check_counts(blocks=self.blocks)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


def check_counts(**counts: int) -> None:
    """Raise ValueError for a setting of these names and values that is below 1."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


@dataclass(frozen=True, kw_only=True)
class CTCNetwork(WordNetwork):
    """Convolutions, the mean over the height, and an LSTM of both directions: a letter or none of each frame.

    A frame is four pixels wide (Shi et al. 2017, CRNN, is of this kind). width: channels of the last
    convolution; blocks: at each of the three sizes. hidden: of the LSTM, each direction. dropout: before the
    last layer.
    """

    hidden: int = 96

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(hidden=self.hidden)

    def build(self, info: Words) -> nn.Module:
        """Build the network for images (b, 3, H, W); it returns (b, W / 4, letters + 1)."""
        from bls_bench.tasks.text_recognition.networks import CTCNet

        return CTCNet(self, info)


@dataclass(frozen=True, kw_only=True)
class PositionAttention(WordNetwork):
    """Convolutions, a transformer's encoder, and a query for each place of the word: all letters at once.

    The vision branch of ABINet (Fang et al. 2021) is of this kind; this is no copy of it, and there is no
    language model behind it. width: channels of the last convolution and of the encoder; blocks: at each of
    the three sizes. layers, heads: of the encoder. dropout: in the encoder.
    """

    layers: int = 1
    heads: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(layers=self.layers, heads=self.heads)
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads={self.heads}, got {self.width}")

    def build(self, info: Words) -> nn.Module:
        """Build the network for images (b, 3, H, W); it returns (b, info.longest + 1, letters + 1)."""
        from bls_bench.tasks.text_recognition.networks import AttentionNet

        return AttentionNet(self, info)
