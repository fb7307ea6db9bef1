"""Image classifiers: timm's models, two ResNets of our own, and Vision Mamba."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Images, memory_format
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn

OWN = ("resnet20", "resnet9")


@dataclass(frozen=True, kw_only=True)
class Classifier(Model):
    """`name` is resnet20, resnet9 or the name of any timm model."""

    needs: ClassVar[frozenset[str]] = frozenset({"images", "classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"logits"})
    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"name must be {', '.join(OWN)} or the name of a timm model, got {self.name!r}")

    def build(self, info: Images) -> nn.Module:
        """Build the model, with random weights, for inputs (b, channels, image_size, image_size).

        Its output is (b, num_classes). Up to 64 pixels, ResNets get a 3x3 stem of stride 1 without
        max-pool, and ViT and Swin a patch size that leaves 4x4 patches or more.
        Raises InputError for an unknown name and for a model that does not fit the image size.
        """
        import timm

        from bls_bench.tasks.classification.fitted import build_timm
        from bls_bench.tasks.classification.resnet9 import ResNet9
        from bls_bench.tasks.classification.resnet20 import ResNet20

        if self.name not in OWN and not timm.is_model(self.name):
            close = difflib.get_close_matches(self.name, [*OWN, *timm.list_models()], n=5)
            hint = f"close are {', '.join(close)}" if close else "timm.list_models() gives the names"
            raise InputError(f"model.name={self.name} is not {', '.join(OWN)} or a timm model: {hint}")
        channels, size = info.channels, info.image_size
        try:
            if self.name in OWN:
                model: nn.Module = dict(zip(OWN, (ResNet20, ResNet9), strict=True))[self.name](
                    channels, info.num_classes
                )
            else:
                model = build_timm(self.name, channels, size, info.num_classes)
        except Exception as error:  # Each of timm's thousand models refuses sizes in its own way.
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(
                f"model.name={self.name} cannot be built for images of {channels}x{size}x{size}: {reason}"
            ) from error
        return model.to(memory_format=memory_format(size))


@dataclass(frozen=True, kw_only=True)
class Vim(Model):
    """Vision Mamba (Zhu et al. 2024). width: channels of a token; depth: blocks; states: of each channel.

    patch: side of a patch in pixels; null: 16, or for images of up to 64 pixels one that leaves 4x4 or more.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images", "classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"logits"})
    width: int = 192
    depth: int = 24
    states: int = 16
    patch: int | None = None

    def __post_init__(self) -> None:
        for name in ("width", "depth", "states"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.patch is not None and self.patch < 1:
            raise ValueError(f"patch must be null or at least 1, got {self.patch}")

    def build(self, info: Images) -> nn.Module:
        """As `Classifier.build`; raises InputError for a patch that does not tile the images."""
        from bls_bench.tasks.classification.fitted import SMALL, small_patch
        from bls_bench.tasks.classification.vim import VisionMamba

        size = info.image_size
        patch = self.patch or (small_patch(size) if size <= SMALL else 16)
        if size % patch:
            raise InputError(f"model.patch={patch} does not tile images of {size}x{size} pixels")
        model = VisionMamba(info.channels, size, info.num_classes, patch, self.width, self.depth, self.states)
        return model.to(memory_format=memory_format(size))
