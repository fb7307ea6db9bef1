"""Networks that see a picture as a row of features, one for each place on it."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from bls_bench.data.base import memory_format
from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.classification.fitted import build_timm
from bls_bench.tasks.detection.networks import Block
from bls_bench.tasks.weights import load_weights, weights_of

# Of ImageNet, close enough for other pictures.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Channels of the small network's stages, each at half the size of the one before.
STAGES = (32, 64, 128)


class Places(nn.Module):
    """Turns (b, 3, S, S) pixels in [0, 1] into (b, places, channels).

    places: how many there are on a picture of side `image_size`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, channels: int, image_size: int) -> None:
        super().__init__()
        self.network, self.channels = network, channels
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        with torch.no_grad():
            # In evaluation mode, or it would move running statistics.
            self.places = self.eval()(torch.zeros(1, 3, image_size, image_size)).shape[1]
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        found = self.network((images - self.mean) / self.std)
        if found.ndim == 3:  # a transformer's
            return found
        # Some of timm's have the channels last.
        return found.flatten(2).transpose(1, 2) if found.shape[1] == self.channels else found.flatten(1, 2)


def image_encoder(name: str, weights: str | None, image_size: int) -> Places:
    """Return the small network (`cnn`), or a model of timm by name, fitted to images of this size.

    weights: None for random ones, DEFAULT for timm's (downloaded), or a file of a state dict. Raises
    InputError for a name that timm has not, a size that the model cannot take, and weights of another.
    """
    if name == "cnn":
        sizes = zip((STAGES[0], *STAGES), STAGES, strict=False)
        blocks = [Block(inputs, outputs, 2) for inputs, outputs in sizes]
        stem = nn.Conv2d(3, STAGES[0], 3, 1, 1)
        return Places(nn.Sequential(stem, *blocks), STAGES[-1], image_size)
    if not timm.is_model(name):
        raise InputError(f"model.encoder={name} is neither cnn nor a timm model")
    try:
        model: Any = build_timm(name, 3, image_size, 0)
        model.reset_classifier(0, "")  # features of all places, not their mean
    except Exception as error:  # each of timm's models refuses sizes in its own way
        raise InputError(
            f"model.encoder={name} cannot take images of {image_size}x{image_size} pixels: {folded(error)}"
        ) from None
    if weights is not None:
        trained = (
            timm.create_model(name, pretrained=True, num_classes=0).state_dict()
            if weights == "DEFAULT"
            else weights_of(name, weights)
        )
        own = model.state_dict()
        # The head, which is not used, may be there or not.
        fitting = {key: value for key, value in trained.items() if key in own}
        load_weights(model, fitting, f"model.weights={weights}")
    return Places(model, model.num_features, image_size).to(memory_format=memory_format(image_size))
