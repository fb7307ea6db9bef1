"""Networks that read words: convolutions, and an LSTM or attention behind them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from bls_bench.tasks.detection.networks import Block
from bls_bench.tasks.text_recognition.data import Words
from bls_bench.tasks.text_recognition.models import CTCNetwork, PositionAttention
from bls_bench.tasks.text_recognition.reading import Alignments, Places, Reading

# How much each size of the convolutions is smaller than the one before, in height and width.
CTC_STRIDES = ((2, 2), (2, 2), (2, 1))
ATTENTION_STRIDES = ((2, 2), (2, 2), (1, 1))


class Reader(Protocol):
    """A network that reads words, and how its logits are meant."""

    reading: Reading


def convolutions(width: int, blocks: int, strides: tuple[tuple[int, int], ...]) -> nn.Sequential:
    """Return blocks at three sizes, of a quarter, a half and all of `width` channels."""
    layers: list[nn.Module] = []
    before = 3
    for level, stride in enumerate(strides):
        channels = width * 2**level // 4
        for number in range(blocks):
            layers.append(Block(before, channels, stride if number == 0 else 1))
            before = channels
    return nn.Sequential(*layers)


def shrunk(side: int, *strides: int) -> int:
    """Return what is left of a side behind convolutions of these strides."""
    for stride in strides:
        side = -(-side // stride)
    return side


class CTCNet(nn.Module):
    """See `CTCNetwork`."""

    def __init__(self, settings: CTCNetwork, info: Words) -> None:
        super().__init__()
        self.features = convolutions(settings.width, settings.blocks, CTC_STRIDES)
        self.lstm = nn.LSTM(settings.width, settings.hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(2 * settings.hidden, len(info.alphabet) + 1)
        self.reading = Alignments(shrunk(info.width, *(across for _, across in CTC_STRIDES)))

    def forward(self, images: Tensor) -> Tensor:
        frames = self.features(images).mean(2).transpose(1, 2)
        return self.head(self.dropout(self.lstm(frames)[0]))


class AttentionNet(nn.Module):
    """See `PositionAttention`."""

    def __init__(self, settings: PositionAttention, info: Words) -> None:
        super().__init__()
        width = settings.width
        sides = (
            shrunk(side, *strides)
            for side, strides in zip(
                (info.height, info.width), zip(*ATTENTION_STRIDES, strict=True), strict=True
            )
        )
        self.features = convolutions(width, settings.blocks, ATTENTION_STRIDES)
        self.where = nn.Parameter(0.02 * torch.randn(width, *sides))
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, settings.heads, 4 * width, settings.dropout, batch_first=True, norm_first=True
            )
            for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(info.longest + 1, width))
        self.keys = nn.Linear(width, width)
        self.head = nn.Linear(width, len(info.alphabet) + 1)
        self.reading = Places()

    def forward(self, images: Tensor) -> Tensor:
        seen = (self.features(images) + self.where).flatten(2).transpose(1, 2)
        for layer in self.encoder:
            seen = layer(seen)
        seen = self.norm(seen)
        queries = self.queries.expand(len(seen), -1, -1)
        return self.head(nn.functional.scaled_dot_product_attention(queries, self.keys(seen), seen))
