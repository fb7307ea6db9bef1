"""The features of images by which a Fréchet distance compares them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.data.base import Data
from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.generation.fixed import trained, training_pixels


class Features:
    """Turns images (b, C, H, W) of pixels in [0, 1] into features (b, d) float32, on their device."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, enabled=False):
            return self._network.to(pixels.device)(pixels.float())


class Inception(nn.Module):
    """The InceptionV3 of published FIDs, as torch-fidelity computes it: 2,048 features."""

    def __init__(self, path: str) -> None:
        """Read its weights; raises InputError for a missing package or a file that does not hold them."""
        super().__init__()
        if importlib.util.find_spec("torch_fidelity") is None:
            raise InputError(
                "task.inception needs torch-fidelity, which is not installed: "
                "pip install 'bls_bench[generation]'"
            )
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        weights = Path(path).expanduser()
        if not weights.is_file():
            raise InputError(f"task.inception={path} is not a file: it must hold the weights of InceptionV3")
        try:
            # That class itself would run any code that the file holds.
            torch.load(weights, map_location="cpu", weights_only=True)
            with torch.random.fork_rng(devices=[]):
                self.network = FeatureExtractorInceptionV3("inception", ["2048"], str(weights))
        except Exception as error:  # whatever pickle, zip or torch find wrong in it
            raise InputError(
                f"task.inception={path} does not hold the weights of torch-fidelity's InceptionV3 "
                f"(pt_inception-2015-12-05-6726825d.pth): {folded(error)}"
            ) from None

    def forward(self, pixels: Tensor) -> Tensor:
        colours = pixels.expand(-1, 3, -1, -1) if pixels.shape[1] == 1 else pixels
        return self.network((colours * 255).round().to(torch.uint8))[0]


class SmallClassifier(nn.Module):
    """Three convolutions and their 64 mean activations, which are the features."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(64, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body(pixels * 2 - 1)

    def logits(self, pixels: Tensor) -> Tensor:
        """Return (b, classes)."""
        return self.head(self(pixels))


def own_features(data: Data) -> Features:
    """Return the features of a small classifier of the same training images, trained here in seconds.

    Raises InputError for data without classes.
    """
    info, targets = data.info, data.targets
    if targets is None or not info.classes:
        raise InputError(
            "task.inception must name the file with InceptionV3's weights: these data have no classes to "
            "learn other features from"
        )
    pixels, content = training_pixels(data)

    def loss(network: nn.Module, chosen: Tensor, generator: torch.Generator) -> Tensor:
        return F.cross_entropy(cast(SmallClassifier, network).logits(pixels[chosen]), targets[chosen])

    return Features(
        trained(
            "features", content, len(targets), lambda: SmallClassifier(info.channels, info.num_classes), loss
        )
    )
