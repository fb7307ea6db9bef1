"""Networks that find the noise in an image."""

from __future__ import annotations

from math import gcd
from typing import Any

from diffusers import UNet2DModel
from torch import Tensor, nn

from bls_bench.tasks.diffusion.models import UNet


class Denoiser(nn.Module):
    """A UNet that is told the time, and the class where there are any: `classes` of them and one for none."""

    def __init__(self, settings: UNet, channels: int, size: int, classes: int) -> None:
        super().__init__()
        attends = [size // 2**level in settings.attention for level in range(len(settings.widths))]
        self.classes = classes
        kind: Any = UNet2DModel  # its decorator hides its type
        self.unet = kind(
            sample_size=size,
            in_channels=channels,
            out_channels=channels,
            block_out_channels=tuple(settings.widths),
            layers_per_block=settings.layers,
            down_block_types=tuple("AttnDownBlock2D" if each else "DownBlock2D" for each in attends),
            up_block_types=tuple("AttnUpBlock2D" if each else "UpBlock2D" for each in reversed(attends)),
            dropout=settings.dropout,
            norm_num_groups=gcd(32, *settings.widths),
            attention_head_dim=None,
            num_class_embeds=classes + 1 if classes else None,
        )

    def forward(self, noisy: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        """Return the noise (b, C, H, W) in samples at times (b,); labels (b,) in [0, classes]."""
        return self.unet(noisy, times, class_labels=labels if self.classes else None).sample
