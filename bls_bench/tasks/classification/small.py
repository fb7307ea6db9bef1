"""Two small networks, which a small data set does not take to its ceiling in a few epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Images
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class MLP(Model):
    """Pixels, one hidden layer of `width` units with ReLU, logits."""

    needs: ClassVar[frozenset[str]] = frozenset({"images", "classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"logits"})
    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")

    def build(self, info: Images) -> nn.Module:
        from bls_bench.tasks.classification.networks import Headed, mlp

        return Headed(mlp(info.channels * info.image_size**2, self.width), self.width, info.num_classes)


@dataclass(frozen=True, kw_only=True)
class CNN(Model):
    """Two 3x3 convolutions, of `width` and 2 * `width` channels, each with ReLU and 2x2 max-pool; logits."""

    needs: ClassVar[frozenset[str]] = frozenset({"images", "classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"logits"})
    width: int = 8

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")

    def build(self, info: Images) -> nn.Module:
        """Raise InputError for images below 4 pixels, of which nothing would be left."""
        from bls_bench.tasks.classification.networks import Headed, cnn

        if info.image_size < 4:
            raise InputError(f"model=cnn needs images of at least 4 pixels, got {info.image_size}")
        features = 2 * self.width * (info.image_size // 4) ** 2
        return Headed(cnn(info.channels, self.width), features, info.num_classes)
