"""An image encoder whose features become the embeddings that a GPT-2 continues.

The idea is that of ClipCap (Mokady et al. 2021) and ViECap (Fei et al. 2023); the encoder and what lies
between are this project's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.modeling_utils import PreTrainedModel

from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning.data import Captions
from bls_bench.tasks.captioning.prefix_models import PrefixGPT2
from bls_bench.tasks.captioning.speaking import Speaker
from bls_bench.tasks.captioning.words import END, SPECIAL, START
from bls_bench.tasks.pretrained import pretrained
from bls_bench.tasks.vision import image_encoder


class PrefixNet(Speaker):
    """See `PrefixGPT2`."""

    tokens: Tensor
    never: Tensor

    def __init__(self, settings: PrefixGPT2, info: Captions) -> None:
        super().__init__(image_encoder(settings.encoder, settings.weights, info.image_size), info.longest)
        self.frozen = settings.frozen
        self.gpt2 = (
            _random(settings, info) if settings.gpt2 is None else _saved(settings.gpt2, settings, info)
        )
        if self.frozen:
            self.gpt2.requires_grad_(False)
        config = self.gpt2.config
        width: int = config.n_embd
        self.seen = nn.Sequential(nn.Linear(self.encoder.channels, width), nn.LayerNorm(width))
        self.where = nn.Parameter(0.02 * torch.randn(self.encoder.places, width))
        self.asked = nn.Parameter(torch.randn(settings.prefix, width))
        self.mapper = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, config.n_head, 2 * width, settings.dropout, batch_first=True, norm_first=True
            )
            for _ in range(settings.mapper)
        )
        self.prefix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        # Which token of GPT-2 each number stands for, and what is added to its logit.
        tokens, never = _numbering(info, own=settings.gpt2 is None)
        self.register_buffer("tokens", tokens, persistent=False)
        self.register_buffer("never", never, persistent=False)

    def train(self, mode: bool = True) -> PrefixNet:
        super().train(mode)
        if self.frozen:
            self.gpt2.eval()  # no dropout in what does not learn
        return self

    def look(self, images: Tensor) -> Tensor:
        """Return the embeddings before the first word, (b, prefix, width)."""
        seen = self.seen(self.places(images)) + self.where
        hidden = self.asked.expand(len(images), -1, -1)
        for layer in self.mapper:
            hidden = layer(hidden, seen)
        return self.prefix(hidden)

    def next(self, seen: Tensor, words: Tensor) -> Tensor:
        # The prefix stands for START, the first of the words.
        spoken = self.gpt2.get_input_embeddings()(self.tokens[words[:, 1:]])
        found = self.gpt2(
            inputs_embeds=torch.cat([seen, spoken], 1), use_cache=False, logits_to_keep=words.shape[1]
        )
        return found.logits[..., self.tokens] + self.never


def _numbering(info: Captions, own: bool) -> tuple[Tensor, Tensor]:
    """Return the token of each number of a caption, (V,) int64, and 0, or -inf for what is never said, (V,).

    own: GPT-2 was made for these numbers.
    """
    count, end = len(info.vocabulary), info.vocabulary.end
    if own or end is None:
        return torch.arange(count), torch.zeros(count)
    # The token that ends a text is END, and nothing else.
    first = len(SPECIAL)
    tokens = torch.cat([torch.full((first,), end), torch.arange(count - first)])
    never = torch.zeros(count).masked_fill(tokens == end, -torch.inf)
    never[END] = 0.0
    return tokens, never


def _random(settings: PrefixGPT2, info: Captions) -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=len(info.vocabulary),
        n_positions=settings.prefix + info.longest,
        n_embd=settings.width,
        n_layer=settings.layers,
        n_head=settings.heads,
        bos_token_id=START,
        eos_token_id=END,
        **_dropout(settings),
    )
    return GPT2LMHeadModel(config)


def _saved(folder: str, settings: PrefixGPT2, info: Captions) -> PreTrainedModel:
    """Read a GPT-2; raises InputError as `PrefixGPT2.build` does."""
    what = f"model.gpt2={folder}"
    if not Path(folder).expanduser().is_dir():
        raise InputError(f"{what} is not a folder")
    model = pretrained(GPT2LMHeadModel, folder, key="model.gpt2", **_dropout(settings))
    if info.vocabulary.end is None:
        raise InputError(f"{what} knows tokens, the data have words: use dataset.tokenizer={folder}")
    known, there = model.config.vocab_size, len(info.vocabulary) - len(SPECIAL)
    if known < there:
        raise InputError(
            f"{what} knows {known} tokens, the data have {there}: use dataset.tokenizer={folder}"
        )
    positions, needed = model.config.n_positions, settings.prefix + info.longest
    if positions < needed:
        raise InputError(
            f"{what} takes {positions} positions, model.prefix={settings.prefix} and captions of "
            f"{info.longest} tokens need {needed}"
        )
    return model


def _dropout(settings: PrefixGPT2) -> dict[str, Any]:
    return dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), settings.dropout)
