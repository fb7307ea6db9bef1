"""A masked autoencoder of transformers, whose masks are given to it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from bls_bench.data.base import Images
from bls_bench.tasks.masked_autoencoder.models import ViTMAE


class Found(NamedTuple):
    """patches: (b, L, p * p * C), what the decoder makes of each; hidden: (b, L), 1 for a hidden one."""

    patches: Tensor
    hidden: Tensor


class Masked(nn.Module):
    """patches: how many an image has."""

    def __init__(self, settings: ViTMAE, info: Images) -> None:
        super().__init__()
        self.hidden = settings.hidden
        self.model = ViTMAEForPreTraining(
            ViTMAEConfig(
                image_size=info.image_size,
                num_channels=info.channels,
                patch_size=settings.patch,
                mask_ratio=settings.hidden,
                num_hidden_layers=settings.layers,
                hidden_size=settings.width,
                intermediate_size=4 * settings.width,
                num_attention_heads=settings.heads,
                decoder_num_hidden_layers=settings.decoder_layers,
                decoder_hidden_size=settings.decoder_width,
                decoder_intermediate_size=4 * settings.decoder_width,
                decoder_num_attention_heads=settings.decoder_heads,
            )
        )
        self.patches = (info.image_size // settings.patch) ** 2
        self._begin(info.image_size // settings.patch)

    @torch.no_grad()
    def _begin(self, side: int) -> None:
        """Set the weights to what the authors begin with, fixed places among them.

        transformers leaves the places of a new model at 0, and makes the other weights of narrow ones small.
        """
        embeddings, decoder = self.model.vit.embeddings, self.model.decoder
        layers = [layer for layer in self.model.modules() if isinstance(layer, nn.Linear)]
        for weight in (embeddings.patch_embeddings.projection.weight, *(layer.weight for layer in layers)):
            nn.init.xavier_uniform_(weight.view(len(weight), -1))
        for places in (embeddings.position_embeddings, decoder.decoder_pos_embed):
            places[0, 1:] = sinusoidal(side, places.shape[2])
        for token in (embeddings.cls_token, decoder.mask_token):
            nn.init.normal_(token, std=0.02)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Found | Tensor:
        """Find the patches of (b, C, H, W) images that are hidden: those of the largest `noise` (b, L).

        Without noise nothing is hidden, and the features of the images are returned: (b, width), the mean
        over their patches.
        """
        if noise is None:
            return self._features(images)
        output = self.model(images, noise=noise)
        return Found(output.logits, output.mask)

    def _features(self, images: Tensor) -> Tensor:
        order = torch.arange(self.patches, device=images.device, dtype=torch.float32)
        encoder = self.model.vit
        encoder.config.mask_ratio = 0.0
        try:
            output = encoder(images, noise=order.expand(len(images), -1))
        finally:
            encoder.config.mask_ratio = self.hidden
        return output.last_hidden_state[:, 1:].mean(1)


def sinusoidal(side: int, width: int) -> Tensor:
    """Return the places of side x side patches, (side^2, width): waves of the column, then of the row.

    Each half has the sines and cosines of Vaswani et al. 2017, as the authors of MAE have them.
    """
    rates = 10000 ** (-torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    waves = torch.arange(side, dtype=torch.float64)[:, None] * rates
    one = torch.cat([waves.sin(), waves.cos()], 1)
    rows, columns = one[:, None].expand(-1, side, -1), one.expand(side, -1, -1)
    return torch.cat([columns, rows], 2).flatten(0, 1).float()
