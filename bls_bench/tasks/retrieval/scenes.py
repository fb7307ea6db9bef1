"""Scenes of handwritten digits, each seen twice: the data that retrieval comes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data import scenes
from bls_bench.data.base import Data
from bls_bench.data.columns import Columns
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream
from bls_bench.tasks.retrieval.data import JITTER, ViewBatches, Views

if TYPE_CHECKING:
    from torch import Tensor

# Of the second view: how far it is turned, in degrees, and its noise, with white as 1.
TURN, NOISE = 30.0, 0.05


@dataclass(frozen=True, kw_only=True)
class SceneViews(scenes.SceneDataset):
    """`images` scenes to train on and a quarter as many to test on, of side `image_size`, of other digits.

    The place is a scene of none to `objects` digits in colour. The query is the same scene turned, as a noisy
    grey negative.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"images", "pairs"})
    name: str = "scene_views"
    images: int = 1600
    image_size: int = 48
    objects: int = 5

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        make = ViewBatches(JITTER)
        return Data(
            train=Columns(self._columns(self.images, True), make, seed, make.draw),
            test=Columns(self._columns(self.images // 4, False), ViewBatches()),
            info=Views(self.image_size),
        )

    def _columns(self, count: int, train: bool) -> dict[str, Tensor]:
        places = scenes.compose(count, self.image_size, self.objects, train).images
        # Of the data, not of the run: another seed trains on the same pairs.
        queries = seen_again(places, stream(0, "scene_views", "train" if train else "test"))
        return {"queries": queries, "places": places, "numbers": torch.arange(count)}


def seen_again(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the other views of (n, 3, S, S) uint8 images."""
    count = len(images)
    angle = torch.deg2rad(TURN * (2 * torch.rand(count, generator=generator) - 1))
    cosine, sine, none = angle.cos(), angle.sin(), torch.zeros(count)
    ways = torch.stack([torch.stack([cosine, -sine, none], 1), torch.stack([sine, cosine, none], 1)], 1)
    functional = torch.nn.functional
    grid = functional.affine_grid(ways, list(images.shape), align_corners=False)
    turned = functional.grid_sample(images / 255, grid, padding_mode="reflection", align_corners=False)
    grey = 1 - turned.mean(1, keepdim=True)
    noisy = grey + NOISE * torch.randn(grey.shape, generator=generator)
    return (noisy.clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
