"""Encoders of texts, by transformers: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system import settings
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn

    from bls_bench.tasks.text.data import Texts


@dataclass(frozen=True, kw_only=True)
class Encoder(Model):
    """A BERT with random weights, as large as its fields say, or any encoder of transformers from a folder.

    layers, width, heads: of the transformer, whose feed-forward layers are four times as wide. positions:
    the tokens that it takes at most. dropout: everywhere. weights: a folder with the files that transformers
    saves (config.json and weights; also the name of a model on its hub); of the other fields only the
    dropout counts then.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text", "classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"text_logits"})
    requires: ClassVar[tuple[str, ...]] = ("transformers",)
    extra: ClassVar[str] = "text"
    layers: int = 2
    width: int = 64
    heads: int = 4
    positions: int = 128
    dropout: float = 0.1
    weights: str | None = settings.folder(None)

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads={self.heads}, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    def build(self, info: Texts) -> nn.Module:
        """Build the model; it takes {input_ids, attention_mask}, (b, t) each, and returns (b, classes).

        Raises InputError for a folder that holds no such model, or one of fewer tokens than the texts have.
        """
        from bls_bench.tasks.text.encoder import from_folder, small_bert

        if self.weights is not None:
            return from_folder(self.weights, self.dropout, info)
        return small_bert(self, info)
