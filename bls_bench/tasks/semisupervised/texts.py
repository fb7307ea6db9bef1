"""Texts: as they are in the weak view, some of their tokens hidden in the strong one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from bls_bench.tasks.semisupervised.kinds import Kind
from bls_bench.tasks.text.objective import check_positions, shortened

if TYPE_CHECKING:
    from torch import Tensor, nn

HIDDEN = 0.3  # the share of tokens
# Of the mixing function of SplitMix64, as signed numbers.
MIX = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
STEP = -0x61C8864680B583EB

Tokens = dict[str, Any]


def kind(max_length: int) -> Kind:
    return Kind(Padded(max_length), Same(), Hidden())


@dataclass(frozen=True)
class Padded:
    """Batches {input_ids, attention_mask, labels}, cut to max_length tokens."""

    max_length: int

    def read(self, batch: Tokens) -> tuple[Tokens, Tensor]:
        input_ids, attention_mask = shortened(batch["input_ids"], batch["attention_mask"], self.max_length)
        return {"input_ids": input_ids, "attention_mask": attention_mask}, batch["labels"]

    def joined(self, inputs: Sequence[Tokens]) -> Tokens:
        """Pad all to the longest; what fills up is hidden from the model, so its number does not matter."""
        width = max(one["input_ids"].shape[1] for one in inputs)
        return {
            name: torch.cat([F.pad(one[name], (0, width - one[name].shape[1])) for one in inputs])
            for name in ("input_ids", "attention_mask")
        }

    def check(self, model: nn.Module) -> None:
        check_positions(model.positions, self.max_length)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Same:
    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.zeros(count, 0)

    def __call__(self, inputs: Tokens, draws: Tensor) -> Tokens:
        return inputs


@dataclass(frozen=True)
class Hidden:
    """Hide each token but the first and the last from the attention with probability 0.3.

    It stands where USB has translations there and back, which need two further models.
    """

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return (count, 1) int64, a number from which those of all tokens of a text follow."""
        return torch.randint(2**62, (count, 1), generator=generator)

    def __call__(self, inputs: Tokens, draws: Tensor) -> Tokens:
        shown = inputs["attention_mask"]
        at = torch.arange(shown.shape[1], device=shown.device)
        inner = (at > 0) & (at < shown.sum(1, keepdim=True) - 1)
        return inputs | {"attention_mask": shown * ~(inner & (uniform(draws, at) < HIDDEN))}


def uniform(seeds: Tensor, at: Tensor) -> Tensor:
    """Return (b, t) numbers in [0, 1) from seeds (b, 1) int64 and places (t,) int64, as many as are asked."""
    mixed = seeds + (at + 1) * STEP
    for shift, factor in zip((30, 27), MIX, strict=True):
        mixed = (mixed ^ (mixed >> shift & (1 << 64 - shift) - 1)) * factor
    mixed = mixed ^ (mixed >> 31 & (1 << 33) - 1)
    return (mixed >> 40 & (1 << 24) - 1).float() / (1 << 24)
