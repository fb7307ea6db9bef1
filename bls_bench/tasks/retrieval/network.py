"""Two towers: a vector of length 1 for each view of a place."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.tasks.retrieval.data import Views
from bls_bench.tasks.retrieval.models import TwoTowers
from bls_bench.tasks.vision import image_encoder


class Tower(nn.Module):
    """Turns (b, 3, S, S) pixels into (b, width) vectors of length 1.

    The sums over places have learnt weights, so that it matters where something is; as in SAFA (Shi et al.
    2019), whose weights hang on the picture too.
    """

    def __init__(self, settings: TwoTowers, info: Views) -> None:
        super().__init__()
        self.encoder = image_encoder(settings.encoder, settings.weights, info.image_size)
        self.sums = nn.Linear(self.encoder.places, settings.parts)
        self.head = nn.Linear(self.encoder.channels * settings.parts, settings.width)

    def forward(self, images: Tensor) -> Tensor:
        parts = self.sums(self.encoder(images).transpose(1, 2))
        return F.normalize(self.head(parts.flatten(1)).float(), dim=1)


class TwoTowerNet(nn.Module):
    """See `TwoTowers`."""

    def __init__(self, settings: TwoTowers, info: Views) -> None:
        super().__init__()
        self.query = Tower(settings, info)
        self.place = self.query if settings.shared else Tower(settings, info)

    def forward(self, queries: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        return self.query(queries), self.place(places)
