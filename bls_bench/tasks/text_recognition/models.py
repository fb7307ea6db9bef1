"""Networks that read words: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn

    from bls_bench.tasks.text_recognition.data import Words


def _check(model: Model, *names: str) -> None:
    for name in names:
        if getattr(model, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(model, name)}")
    dropout = model.dropout  # type: ignore[attr-defined]
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
    if model.width % 32:  # type: ignore[attr-defined]
        raise ValueError(f"width must be a multiple of 32, got {model.width}")  # type: ignore[attr-defined]


@dataclass(frozen=True, kw_only=True)
class CTCNetwork(Model):
    """Convolutions, the mean over the height, and an LSTM of both directions: a letter or none of each frame.

    A frame is four pixels wide (Shi et al. 2017, CRNN, is of this kind). width: channels of the last
    convolution; blocks: at each of the three sizes. hidden: of the LSTM, each direction. dropout: before the
    last layer.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"words"})
    gives: ClassVar[frozenset[str]] = frozenset({"word_logits"})
    width: int = 96
    blocks: int = 1
    hidden: int = 96
    dropout: float = 0.1

    def __post_init__(self) -> None:
        _check(self, "width", "blocks", "hidden")

    def build(self, info: Words) -> nn.Module:
        """Build the network for images (b, 3, H, W); it returns (b, W / 4, letters + 1)."""
        from bls_bench.tasks.text_recognition.networks import CTCNet

        return CTCNet(self, info)


@dataclass(frozen=True, kw_only=True)
class PositionAttention(Model):
    """Convolutions, a transformer's encoder, and a query for each place of the word: all letters at once.

    The vision branch of ABINet (Fang et al. 2021) is of this kind; this is no copy of it, and there is no
    language model behind it. width: channels of the last convolution and of the encoder; blocks: at each of
    the three sizes. layers, heads: of the encoder. dropout: in the encoder.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"words"})
    gives: ClassVar[frozenset[str]] = frozenset({"word_logits"})
    width: int = 96
    blocks: int = 1
    layers: int = 1
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        _check(self, "width", "blocks", "layers", "heads")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads={self.heads}, got {self.width}")

    def build(self, info: Words) -> nn.Module:
        """Build the network for images (b, 3, H, W); it returns (b, info.longest + 1, letters + 1)."""
        from bls_bench.tasks.text_recognition.networks import AttentionNet

        return AttentionNet(self, info)
