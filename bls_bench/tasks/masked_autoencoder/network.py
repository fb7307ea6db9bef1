"""A masked autoencoder of transformers, whose masks are given to it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from bls_bench.data.base import Images
from bls_bench.tasks.masked_autoencoder.models import ViTMAE


class Found(NamedTuple):
    """patches: (b, L, p * p * C), what the decoder makes of each patch; hidden: (b, L), 1 for a hidden one."""

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
