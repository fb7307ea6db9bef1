"""An encoder of pictures, and a transformer's decoder of words that looks at what it sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bls_bench.tasks.captioning.data import Captions
from bls_bench.tasks.captioning.models import Captioner
from bls_bench.tasks.captioning.speaking import Speaker
from bls_bench.tasks.vision import image_encoder


class CaptionNet(Speaker):
    """See `Captioner`."""

    def __init__(self, settings: Captioner, info: Captions) -> None:
        super().__init__(image_encoder(settings.encoder, settings.weights, info.image_size), info.longest)
        width = settings.width
        self.seen = nn.Sequential(nn.Linear(self.encoder.channels, width), nn.LayerNorm(width))
        self.where = nn.Parameter(0.02 * torch.randn(self.encoder.places, width))
        self.words = nn.Embedding(len(info.vocabulary), width)
        self.turns = nn.Parameter(0.02 * torch.randn(info.longest + 1, width))
        nn.init.normal_(self.words.weight, std=0.02)
        # One by one: a stack of torch's would begin all layers with the same weights.
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, settings.heads, 4 * width, settings.dropout, batch_first=True, norm_first=True
            )
            for _ in range(settings.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(info.vocabulary))

    def look(self, images: Tensor) -> Tensor:
        return self.seen(self.places(images)) + self.where

    def next(self, seen: Tensor, words: Tensor) -> Tensor:
        count = words.shape[1]
        hidden = self.words(words) + self.turns[:count]
        later = torch.ones(count, count, dtype=torch.bool, device=words.device).triu(1)
        for layer in self.decoder:
            hidden = layer(hidden, seen, tgt_mask=later, tgt_is_causal=True)
        return self.head(self.norm(hidden))
