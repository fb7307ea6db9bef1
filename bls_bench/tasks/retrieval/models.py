"""Networks that bring two views of a place to like vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system import settings
from bls_bench.tasks.base import Model
from bls_bench.tasks.retrieval.data import Views

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class TwoTowers(Model):
    """An image encoder for each view, or one for both, behind it learnt sums over places, and a linear layer.

    encoder: cnn, a small network, or a model of timm. weights: of timm's, a file of a state dict, or DEFAULT
    for its own (downloaded); null: random ones. shared: one tower for both views. parts: sums over places.
    width: of a vector.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images", "pairs"})
    gives: ClassVar[frozenset[str]] = frozenset({"embeddings"})
    encoder: str = "cnn"
    weights: str | None = settings.folder(None)
    shared: bool = False
    parts: int = 4
    width: int = 128

    def __post_init__(self) -> None:
        for name in ("parts", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.weights is not None and self.encoder == "cnn":
            raise ValueError(f"weights must be null for encoder=cnn, got {self.weights}")

    def build(self, info: Views) -> nn.Module:
        """Build the network: two views (b, 3, S, S) in, two (b, width) of length 1 out.

        Raises InputError for an encoder that does not exist or cannot take images of this size.
        """
        from bls_bench.tasks.retrieval.network import TwoTowerNet

        return TwoTowerNet(self, info)
