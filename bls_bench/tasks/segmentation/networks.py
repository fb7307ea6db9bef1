"""A small U-Net, and what brings the networks of two libraries to the same form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision.models import get_model_builder, list_models, segmentation

from bls_bench.data.base import Images, memory_format
from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.weights import load_weights, weights_of

# Of ImageNet, close enough for other pictures.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Channels of the levels, the first at half the size of the image, and of a group that is normalised.
LEVELS, GROUP = (32, 64, 96, 96), 8


class Normalised(nn.Module):
    """A network that takes pixels in [0, 1] and gives a plain tensor of logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, output: str | None = None) -> None:
        """output: the entry that is meant where the network returns a dict."""
        super().__init__()
        self.network, self.output = network, output
        self.mean: Tensor
        self.std: Tensor
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        found = self.network((images - self.mean) / self.std)
        return found if self.output is None else found[self.output]


class UNet(nn.Module):
    """Four levels of two convolutions each, and back up with what each level has seen.

    The first level has half the image's size, as the logits have, which are scaled up at the end. GroupNorm,
    not BatchNorm: its statistics are a picture's own, whatever the others of the batch are.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, LEVELS[0], 3, 2, 1)
        levels = zip((LEVELS[0], *LEVELS), LEVELS, strict=False)
        self.down = nn.ModuleList(_twice(inputs, outputs) for inputs, outputs in levels)
        back = [(low + high, high) for high, low in pairwise(LEVELS)]
        self.up = nn.ModuleList(_twice(inputs, outputs) for inputs, outputs in reversed(back))
        self.head = nn.Conv2d(LEVELS[0], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        seen: list[Tensor] = []
        features = self.stem(images)
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else nn.functional.max_pool2d(features, 2))
            seen.append(features)
        for block, beside in zip(self.up, reversed(seen[:-1]), strict=True):
            wider = nn.functional.interpolate(features, beside.shape[-2:], mode="nearest")
            features = block(torch.cat([wider, beside], 1))
        return nn.functional.interpolate(self.head(features), images.shape[-2:], mode="bilinear")


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(outputs // GROUP, outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


@cache
def torchvision_names() -> Sequence[str]:
    return list_models(segmentation)


def of_torchvision(name: str, weights: str | None, info: Images) -> nn.Module:
    """Build one of `torchvision_names`, without its auxiliary loss. Raises InputError as `Segmenter` does."""
    network = get_model_builder(name)(weights=None, weights_backbone=None, num_classes=info.num_classes)
    if weights is not None:
        state = weights_of(name, weights)
        main = {key: value for key, value in state.items() if not key.startswith("aux_classifier")}
        load_weights(network, main, f"model.weights={weights}")
    return checked(network, info, f"model.name={name}", output="out")


def of_smp(name: str, encoder: str, weights: str | None, info: Images) -> nn.Module:
    """Build a network of segmentation-models-pytorch. Raises InputError as `SegmentationModels.build`."""
    import segmentation_models_pytorch as smp

    what = f"model.name={name} model.encoder={encoder}"
    if name not in smp.MODEL_ARCHITECTURES_MAPPING:
        allowed = ", ".join(sorted(smp.MODEL_ARCHITECTURES_MAPPING))
        raise InputError(f"model.name={name} is no architecture of smp: allowed are {allowed}")
    trained = "imagenet" if weights == "DEFAULT" else None
    try:
        network = smp.create_model(name, encoder, trained, 3, info.num_classes)
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} cannot be built: {folded(error)}") from None
    if weights is not None and weights != "DEFAULT":
        load_weights(network, weights_of(name, weights), f"model.weights={weights}")
    return checked(network, info, what)


def checked(network: nn.Module, info: Images, what: str, output: str | None = None) -> nn.Module:
    """Bring a network to its form and find out now, not in the first step, that a size does not suit it."""
    model, size = Normalised(network, output), info.image_size
    try:
        with torch.no_grad():
            found = model.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{what} cannot take images of {size}x{size} pixels: {folded(error)}") from None
    if found.shape != (1, info.num_classes, size, size):
        raise InputError(f"{what} cannot take images of {size}x{size} pixels: it gives {tuple(found.shape)}")
    return model.train().to(memory_format=memory_format(size))
