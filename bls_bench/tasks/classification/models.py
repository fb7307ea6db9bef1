"""Image classifiers: timm's models, and the ResNet-20 of the CIFAR papers."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Images, memory_format
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Classifier(Model):
    """`name` is resnet20 or the name of any timm model."""

    needs: ClassVar[frozenset[str]] = frozenset({"images", "classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"logits"})
    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"name must be resnet20 or the name of a timm model, got {self.name!r}")

    def build(self, info: Images) -> nn.Module:
        """Build the model, with random weights, for inputs (b, channels, image_size, image_size).

        Its output is (b, num_classes). Up to 64 pixels, ResNets get a 3x3 stem of stride 1 without
        max-pool, and ViT and Swin a patch size that leaves 4x4 patches or more.
        Raises InputError for an unknown name and for a model that does not fit the image size.
        """
        import timm

        from bls_bench.tasks.classification.fitted import build_timm
        from bls_bench.tasks.classification.resnet20 import ResNet20

        if self.name != "resnet20" and not timm.is_model(self.name):
            close = difflib.get_close_matches(self.name, ["resnet20", *timm.list_models()], n=5)
            hint = f"close are {', '.join(close)}" if close else "timm.list_models() gives the names"
            raise InputError(f"model.name={self.name} is neither resnet20 nor a timm model: {hint}")
        channels, size = info.channels, info.image_size
        try:
            if self.name == "resnet20":
                model: nn.Module = ResNet20(channels, info.num_classes)
            else:
                model = build_timm(self.name, channels, size, info.num_classes)
        except Exception as error:  # Each of timm's thousand models refuses sizes in its own way.
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(
                f"model.name={self.name} cannot be built for images of {channels}x{size}x{size}: {reason}"
            ) from error
        return model.to(memory_format=memory_format(size))
