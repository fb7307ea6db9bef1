"""Vision Mamba (Zhu et al. 2024): state space models over the patches of an image, in both directions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.tasks.classification.scan import selective_scan

# Channels within a block for one outside; patches that its convolution sees; channels for a rank of steps.
EXPAND, KERNEL, PER_RANK = 2, 4, 16
# Steps at the start, as in Mamba.
SHORTEST, LONGEST = 0.001, 0.1


class VisionMamba(nn.Module):
    """Patches and, in their middle, a token of the class; blocks; a linear layer on that token."""

    def __init__(
        self, channels: int, image_size: int, classes: int, patch: int, width: int, depth: int, states: int
    ) -> None:
        super().__init__()
        count = (image_size // patch) ** 2
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.token = nn.Parameter(torch.empty(1, 1, width))
        self.places = nn.Parameter(torch.empty(1, count + 1, width))
        self.blocks = nn.Sequential(*(Block(width, depth, states) for _ in range(depth)))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.head = nn.Linear(width, classes)
        for weight in (self.token, self.places, self.head.weight):
            nn.init.trunc_normal_(weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patches(images).flatten(2).mT
        middle = patches.shape[1] // 2
        token = self.token.expand(len(images), -1, -1)
        tokens = torch.cat([patches[:, :middle], token, patches[:, middle:]], 1) + self.places
        return self.head(self.norm(self.blocks(tokens)[:, middle]))

    def get_classifier(self) -> nn.Module:
        """As timm's models name their last layer."""
        return self.head

    def no_weight_decay(self) -> set[str]:
        """As timm's models name what is not made smaller."""
        return {name for name, _ in self.named_parameters() if name.endswith(("rates", "token", "places"))}


class Block(nn.Module):
    """Both directions, each with its own convolution and scan, between layers that they share."""

    def __init__(self, width: int, depth: int, states: int) -> None:
        super().__init__()
        inner = EXPAND * width
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.enter = nn.Linear(width, 2 * inner, bias=False)
        self.forwards, self.backwards = Direction(width, states), Direction(width, states)
        self.leave = nn.Linear(inner, width, bias=False)
        with torch.no_grad():  # so that what all blocks add up to does not grow with their number
            self.leave.weight /= math.sqrt(depth)

    def forward(self, tokens: Tensor) -> Tensor:
        inner, gate = self.enter(self.norm(tokens)).chunk(2, dim=2)
        found = self.forwards(inner) + self.backwards(inner.flip(1)).flip(1)
        return tokens + self.leave(found * F.silu(gate) / 2)


class Direction(nn.Module):
    """A convolution over the tokens before each, and a selective scan; (b, L, d) in and out."""

    def __init__(self, width: int, states: int) -> None:
        super().__init__()
        inner, rank = EXPAND * width, math.ceil(width / PER_RANK)
        self.sizes = rank, states, states
        self.convolution = nn.Conv1d(inner, inner, KERNEL, groups=inner)
        self.select = nn.Linear(inner, sum(self.sizes), bias=False)
        self.step = nn.Linear(rank, inner)
        self.rates = nn.Parameter(torch.arange(1, states + 1).float().log().repeat(inner, 1))
        self.past = nn.Parameter(torch.ones(inner))
        nn.init.uniform_(self.step.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            low, high = math.log(SHORTEST), math.log(LONGEST)
            steps = torch.exp(low + (high - low) * torch.rand(inner))
            self.step.bias.copy_(torch.log(torch.expm1(steps)))  # of which softplus is the inverse

    def forward(self, inner: Tensor) -> Tensor:
        before = F.pad(inner.mT, (KERNEL - 1, 0))
        inner = F.silu(self.convolution(before)).mT
        rank, into, out_of = self.select(inner).split(self.sizes, dim=2)
        steps = F.softplus(self.step(rank))
        return selective_scan(inner, steps, -self.rates.exp(), into, out_of) + self.past * inner
