"""Frames of one camera on its way through a room, with depths and poses, as 7-Scenes has them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bls_bench.data.base import Data
from bls_bench.data.pictures import existing
from bls_bench.system.errors import InputError
from bls_bench.tasks.stereo.files import SceneFiles, SceneFolder, View, pose_of, read_words, size_with

if TYPE_CHECKING:
    import torch

# The last of so many parts of the way is for testing: what it sees is not seen from just beside.
PARTS = 5


@dataclass(frozen=True, kw_only=True)
class RgbdFrames(SceneFolder):
    """`root` holds for each frame a picture, a map of depths, and a pose of 4x4 numbers, camera to world.

    picture, depth, pose: how the names of these end; what is before it names the frame. In that order, the
    last fifth of the frames are for testing. Beside each frame go those that are `gap` and more frames away,
    the nearest first. focal: the focal length in widths of a picture, whose middle is the principal point.
    near, far: the depths that are looked for, in metres; others count as unknown.
    """

    height: int = 96
    width: int = 128
    views: int = 3
    per_metre: float = 1000.0
    picture: str = ".jpg"
    depth: str = ".png"
    pose: str = ".txt"
    focal: float
    gap: int
    near: float
    far: float

    def __post_init__(self) -> None:
        super().__post_init__()
        endings = {self.picture, self.depth, self.pose}
        if len(endings) < 3 or "" in endings:
            raise ValueError(f"picture, depth and pose must be three endings, got {sorted(endings)}")
        if not 0 < self.near < self.far < math.inf:
            raise ValueError(f"near and far must be ascending and above 0, got {self.near} and {self.far}")
        if not self.focal > 0:
            raise ValueError(f"focal must be above 0, got {self.focal}")
        if self.gap < 1:
            raise ValueError(f"gap must be at least 1, got {self.gap}")

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        root = existing(self.root)
        pictures = sorted(path for path in root.iterdir() if path.name.endswith(self.picture))
        kept = len(pictures) - len(pictures) // PARTS
        train, test = self._listed(pictures[:kept]), self._listed(pictures[kept:])
        return self._scenes(train, test, seed, device)

    def _listed(self, pictures: list[Path]) -> list[SceneFiles]:
        """Return a scene for each of some frames. Raises InputError for one without what belongs to it."""
        frames, scenes = [self._view(path) for path in pictures], []
        for at, path in enumerate(pictures):
            steps = [self.gap * step for step in range(1, self.views)]
            beside = [other for step in steps for other in (at - step, at + step) if 0 <= other < len(frames)]
            if len(beside) < self.views - 1:
                raise InputError(
                    f"{path} has {len(beside)} neighbour frames at dataset.gap={self.gap} among "
                    f"{len(frames)} frames, dataset.views={self.views} needs {self.views - 1}"
                )
            views = tuple(frames[other] for other in (at, *beside[: self.views - 1]))
            scenes.append(SceneFiles(views, self._beside(path, self.depth), (self.near, self.far)))
        return scenes

    def _view(self, path: Path) -> View:
        """Return a frame. Raises InputError for a bad pose, and a map of depths of another size."""
        pose, depth = self._beside(path, self.pose), self._beside(path, self.depth)
        for file, what in ((pose, "pose"), (depth, "map of depths")):
            if not file.exists():
                raise InputError(f"{path} has no {what} {file}")
        width, height = size_with(path, depth)
        lens = (self.focal, self.focal * width / height, 0.5, 0.5)
        return View(path, lens, pose_of(read_words(pose, f"the pose {pose}"), pose))

    def _beside(self, path: Path, ending: str) -> Path:
        return path.with_name(path.name.removesuffix(self.picture) + ending)
