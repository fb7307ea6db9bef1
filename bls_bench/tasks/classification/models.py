"""Models: timm's, fitted to small images, and the ResNet-20 of the CIFAR papers."""

import difflib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import timm
import torch
from timm.models.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional as F

from bls_bench.system.errors import InputError

SMALL = 64
# The modules of timm whose models take `patch_size` beside `img_size`.
PATCHED = {"beit", "deit", "eva", "swin_transformer", "swin_transformer_v2", "vision_transformer"}


@dataclass(frozen=True, kw_only=True)
class Model:
    """`name` is resnet20 or the name of any timm model."""

    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"name must be resnet20 or the name of a timm model, got {self.name!r}")

    def build(self, channels: int, image_size: int, num_classes: int) -> nn.Module:
        """Build the model, with random weights, for inputs (b, channels, image_size, image_size).

        Its output is (b, num_classes). Up to 64 pixels, ResNets get a 3x3 stem of stride 1 without
        max-pool, and ViT and Swin a patch size that leaves 4x4 patches or more.
        Raises InputError for an unknown name and for a model that does not fit the image size.
        """
        if self.name != "resnet20" and not timm.is_model(self.name):
            close = difflib.get_close_matches(self.name, ["resnet20", *timm.list_models()], n=5)
            hint = f"close are {', '.join(close)}" if close else "timm.list_models() gives the names"
            raise InputError(f"model.name={self.name} is neither resnet20 nor a timm model: {hint}")
        try:
            if self.name == "resnet20":
                return ResNet20(channels, num_classes)
            return _build_timm(self.name, channels, image_size, num_classes)
        except Exception as error:  # Each of timm's thousand models refuses sizes in its own way.
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(
                f"model.name={self.name} cannot be built for images of {channels}x{image_size}x{image_size}: "
                f"{reason}"
            ) from error


def _build_timm(name: str, channels: int, image_size: int, num_classes: int) -> nn.Module:
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


def _use_small_stem(model: ResNet, channels: int) -> None:
    stem = nn.Conv2d(channels, model.bn1.num_features, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    model.conv1 = stem
    model.maxpool = nn.Identity()


class LastInput:
    """Keeps what a model's last layer, its classifier, gets: `value`, (b, d), once the model has run."""

    def __init__(self, model: nn.Module, name: str) -> None:
        """name: the model's, for the message. Raises InputError if it has no single linear last layer."""
        layer = model.get_classifier()
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise InputError(
                f"model.name={name} has no single linear last layer, which this method looks into"
            )
        self.value: Tensor | None = None
        layer.register_forward_pre_hook(self._keep)

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.value = inputs[0].detach().flatten(1)


@torch.no_grad()
def _check_forward(model: nn.Module, channels: int, image_size: int) -> None:
    """Find out now, not in the first step, that a model cannot take this image size."""
    model.eval()(torch.zeros(1, channels, image_size, image_size))
    model.train()


class ResNet20(nn.Module):
    """The 20-layer ResNet for CIFAR of He et al. (2016): 0.27M parameters, none of them in shortcuts."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.stem = _conv3x3(channels, 16, stride=1)
        self.norm = nn.BatchNorm2d(16)
        widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
        self.blocks = nn.Sequential(*(_Block(*pair) for pair in pairwise(widths)))
        self.head = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        return self.head(self.blocks(x).mean((2, 3)))

    def get_classifier(self) -> nn.Module:
        """As timm's models name their last layer."""
        return self.head


class _Block(nn.Module):
    """Two convolutions around a shortcut that, where the width doubles, skips pixels and adds zeros."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.stride = width // width_in
        self.conv1 = _conv3x3(width_in, width, self.stride)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride=1)
        self.norm2 = nn.BatchNorm2d(width)
        self.extra = (width - width_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(self.norm2(self.conv2(y)) + shortcut)


def _conv3x3(width_in: int, width: int, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(width_in, width, kernel_size=3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
