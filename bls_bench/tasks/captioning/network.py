"""An encoder of pictures and a decoder of words, which also speaks by itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bls_bench.system.processes import process_rank
from bls_bench.tasks.captioning.data import Captions
from bls_bench.tasks.captioning.models import Captioner
from bls_bench.tasks.captioning.words import END, PAD, START, UNKNOWN
from bls_bench.tasks.vision import image_encoder


class CaptionNet(nn.Module):
    """See `Captioner`."""

    def __init__(self, settings: Captioner, info: Captions) -> None:
        super().__init__()
        width, self.longest = settings.width, info.longest
        self.encoder = image_encoder(settings.encoder, settings.weights, info.image_size)
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

    def forward(self, images: Tensor, words: Tensor | None = None) -> Tensor:
        """Return the logits (b, t, V) of the word behind each of the words (b, t), START among them.

        Without words, the (b, longest) int64 words that are likeliest one after the other; PAD behind an END.
        A word that is not known is never said. It is here, not beside: FSDP gathers a model for its forward.
        """
        seen = self.seen(self.encoder(images)) + self.where
        return self._say(seen) if words is None else self._next(seen, words)

    def _say(self, seen: Tensor) -> Tensor:
        words = torch.full((len(seen), 1), START, device=seen.device)
        ended = torch.zeros(len(seen), dtype=torch.bool, device=seen.device)
        alone = process_rank()[1] == 1
        for _ in range(self.longest):
            logits = self._next(seen, words)[:, -1]
            logits[:, [PAD, START, UNKNOWN]] = -torch.inf
            found = logits.argmax(1).masked_fill(ended, PAD)
            words = torch.cat([words, found[:, None]], 1)
            ended |= found == END
            # A model in parts has to run as often on all processes, whatever each has to say.
            if alone and ended.all():
                break
        return nn.functional.pad(words[:, 1:], (0, self.longest + 1 - words.shape[1]), value=PAD)

    def _next(self, seen: Tensor, words: Tensor) -> Tensor:
        count = words.shape[1]
        hidden = self.words(words) + self.turns[:count]
        later = torch.ones(count, count, dtype=torch.bool, device=words.device).triu(1)
        for layer in self.decoder:
            hidden = layer(hidden, seen, tgt_mask=later, tgt_is_causal=True)
        return self.head(self.norm(hidden))
