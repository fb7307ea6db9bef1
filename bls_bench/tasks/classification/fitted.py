"""timm's models, fitted to small images."""

from __future__ import annotations

from typing import Any

import timm
import torch
from timm.models.resnet import ResNet
from torch import nn

SMALL = 64
# The modules of timm whose models take `patch_size` beside `img_size`.
PATCHED = {"beit", "deit", "eva", "swin_transformer", "swin_transformer_v2", "vision_transformer"}


def build_timm(name: str, channels: int, image_size: int, num_classes: int) -> nn.Module:
    options: dict[str, Any] = {}
    config = timm.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
        module = timm.models.model_entrypoint(name).__module__.rpartition(".")[2]
        if image_size <= SMALL and module in PATCHED:
            options["patch_size"] = small_patch(image_size)
    model = timm.create_model(name, in_chans=channels, num_classes=num_classes, **options)
    if image_size <= SMALL and isinstance(model, ResNet):
        _use_small_stem(model, channels)
    _check_forward(model, channels, image_size)
    return model


def small_patch(image_size: int) -> int:
    """Return the largest patch that tiles a small image and leaves at least 7x7 patches.

    Below 16 pixels that is at least 4x4, for seven would mean a patch for every pixel.
    """
    patches = 4 if image_size < 16 else 7
    return next(patch for patch in range(max(image_size // patches, 1), 0, -1) if image_size % patch == 0)


def _use_small_stem(model: Any, channels: int) -> None:
    stem = nn.Conv2d(channels, model.bn1.num_features, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    model.conv1 = stem
    model.maxpool = nn.Identity()


@torch.no_grad()
def _check_forward(model: nn.Module, channels: int, image_size: int) -> None:
    """Find out now, not in the first step, that a model cannot take this image size."""
    model.eval()(torch.zeros(1, channels, image_size, image_size))
    model.train()
