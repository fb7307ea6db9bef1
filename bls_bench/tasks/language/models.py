"""Language models, by transformers: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.system import settings
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn

    from bls_bench.tasks.text.data import Texts


@dataclass(frozen=True, kw_only=True)
class CausalLM(Model):
    """A LLaMA with random weights, as large as its fields say, or any of transformers from a folder.

    layers, width, heads: of the transformer, whose feed-forward layers are four times as wide. positions:
    the tokens that it takes at most. weights: a folder with the files that transformers saves (config.json
    and weights; also the name of a model on its hub); the fields before count for nothing then.
    lora_rank: trains matrices of this rank beside those of the attention that peft chooses for the
    architecture, and nothing else (Hu et al. 2022, LoRA); null: all weights. lora_alpha: their factor is
    lora_alpha / lora_rank. lora_dropout: of what they get.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answers"})
    gives: ClassVar[frozenset[str]] = frozenset({"next_tokens"})
    requires: ClassVar[tuple[str, ...]] = ("transformers",)
    extra: ClassVar[str] = "language"
    layers: int = 2
    width: int = 64
    heads: int = 4
    positions: int = 512
    weights: str | None = settings.folder(None)
    lora_rank: int | None = None
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % (2 * self.heads):  # positions turn pairs of numbers
            raise ValueError(f"width must be a multiple of 2 * heads={2 * self.heads}, got {self.width}")
        if self.lora_alpha <= 0:
            raise ValueError(f"lora_alpha must be above 0, got {self.lora_alpha}")
        if not 0 <= self.lora_dropout < 1:
            raise ValueError(f"lora_dropout must be in [0, 1), got {self.lora_dropout}")
        if self.lora_rank is None:
            return
        if self.lora_rank < 1:
            raise ValueError(f"lora_rank must be null or at least 1, got {self.lora_rank}")
        if self.weights is None:
            raise ValueError(
                f"weights must be given with lora_rank={self.lora_rank}: LoRA leaves them as they are"
            )

    def build(self, info: Texts) -> nn.Module:
        """Build the model; it takes {input_ids, attention_mask}, (b, t) each, and returns (b, t, vocabulary).

        Raises InputError for a folder that holds no such model, one of fewer tokens than the texts have, one
        that takes fewer positions; with LoRA, where peft is missing or does not know the architecture.
        """
        from bls_bench.tasks.language.network import network

        return network(self, info)
