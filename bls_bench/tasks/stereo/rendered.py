"""Rendered scenes of flat things with handwritten digits on them: the data that stereo comes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Data, Dataset
from bls_bench.data.columns import Columns
from bls_bench.data.scenes import handwritten
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream
from bls_bench.tasks.stereo.views import Views, check_sizes, make_batch

if TYPE_CHECKING:
    from torch import Tensor

# Depths of the scenes in metres, those that are looked for, and how far they may be about the middle.
RANGE, ENDS = (1.5, 8.0), (2.0, 6.0)
# Scenes that are rendered at once, and the noise of each picture.
CHUNK, NOISE = 16, 0.02


@dataclass(frozen=True, kw_only=True)
class RenderedPlanes(Dataset):
    """`scenes` to train on and a quarter as many to test on, with other digits; each is seen by `views`.

    A scene is a ground and four flat things before it, at random places and tilts, with scikit-learn's
    handwritten digits on all of them. height, width: of a picture in pixels, which is as wide as the focal
    length.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"views"})
    name: str = "rendered_planes"
    scenes: int = 300
    height: int = 96
    width: int = 128
    views: int = 3

    def __post_init__(self) -> None:
        check_sizes(self.height, self.width, self.views)
        if self.scenes < 4:
            raise ValueError(f"scenes must be at least 4, got {self.scenes}")

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        return Data(
            train=Columns(self._columns(self.scenes, train=True), make_batch, seed),
            test=Columns(self._columns(self.scenes // 4, train=False), make_batch),
            info=Views(self.height, self.width, self.views),
        )

    def _columns(self, count: int, train: bool) -> dict[str, Tensor]:
        from bls_bench.tasks.stereo.geometry import rays
        from bls_bench.tasks.stereo.rendering import Scene, draw_scene, render

        (glyphs, _), part = handwritten()[0 if train else 1], "train" if train else "test"
        lens = torch.tensor([self.width, self.width, self.width / 2, self.height / 2], dtype=torch.float32)
        seen = rays(lens[None], self.height, self.width)[0]
        images, moves, depths = [], [], []
        for some in torch.arange(count).split(CHUNK):
            # Of the data, not of the run: another seed trains on the same scenes.
            streams = [stream(0, "rendered_planes", part, number) for number in some.tolist()]
            drawn = [draw_scene(glyphs, self.views, ENDS, generator) for generator in streams]
            scenes = Scene(*map(torch.stack, zip(*drawn, strict=True)))
            colours, depth = render(scenes, seen)
            noise = torch.stack([torch.randn(colours.shape[1:], generator=one) for one in streams])
            images.append(((colours + NOISE * noise).clamp(0, 1) * 255).round().to(torch.uint8))
            depths.append(depth[:, 0])
            moves.append(torch.linalg.inv(scenes.poses[:, 1:])[..., :3, :])
        size = self.height, self.width
        depths_found = torch.cat(depths).unflatten(1, size)
        known = (depths_found >= RANGE[0]) & (depths_found <= RANGE[1])
        return {
            "images": torch.cat(images).unflatten(3, size),
            "lenses": lens.repeat(count, self.views, 1),
            "moves": torch.cat(moves),
            "ranges": torch.tensor(RANGE).repeat(count, 1),
            "depths": depths_found * known,
        }
