"""WHU-MVS (Liu and Ji 2020): aerial pictures, five views of each place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bls_bench.data.base import Data
from bls_bench.data.decoding import size_of
from bls_bench.data.pictures import existing
from bls_bench.data.trees import Tree
from bls_bench.system.errors import InputError
from bls_bench.tasks.stereo.files import SceneFiles, SceneFolder, View, pose_of, read_words, size_with

if TYPE_CHECKING:
    import torch

# The files' cameras have y up and look along -z.
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
CAMERA = "extrinsic, 16 numbers, focal length, x0, y0, least and largest depth"


@dataclass(frozen=True, kw_only=True)
class WhuMvs(SceneFolder):
    """`root` holds `train` and `test` as published, with index.txt, pair.txt, Images, Cams and Depths.

    index.txt names the areas, pair.txt of each view those that go beside it, of which the first
    `views` - 1 are taken. Pictures are Images/AREA/VIEW/NAME.png, and so are Depths, of 16 bits, 64 a metre;
    Cams/AREA/VIEW/NAME.txt holds pose, focal length, principal point, and the least and the largest depth;
    others count as unknown.
    """

    height: int = 384
    width: int = 768
    views: int = 5
    per_metre: float = 64.0

    def load(self, seed: int, device: torch.device | None = None) -> Data:
        root = existing(self.root)
        train, test = (self._listed(root / part) for part in ("train", "test"))
        return self._scenes(train, test, seed, device)

    def _listed(self, folder: Path) -> list[SceneFiles]:
        @cache
        def camera(path: Path, area: str, view: int) -> tuple[View, tuple[float, float]]:
            return _camera(path, folder / "Cams" / area / str(view) / f"{path.stem}.txt")

        areas, pairs = read_words(folder / "index.txt", "the list of areas"), self._pairs(folder)
        scenes = []
        for area in areas:
            for first, others in pairs.items():
                own = _folder(folder / "Images" / area / str(first))
                for path in map(Path, Tree(own).files()):
                    view, ends = camera(path, area, first)
                    beside = [folder / "Images" / area / str(other) / path.name for other in others]
                    views = [camera(file, area, other)[0] for file, other in zip(beside, others, strict=True)]
                    depth = folder / "Depths" / area / str(first) / f"{path.stem}.png"
                    size_with(path, depth)
                    scenes.append(SceneFiles((view, *views), depth, ends))
        return scenes

    def _pairs(self, folder: Path) -> dict[int, list[int]]:
        """Return for each view those beside it: in pair.txt, how many, and so for each two lines."""
        file = folder / "pair.txt"
        words = iter(read_words(file, "the list of pairs"))
        pairs = {}
        try:
            for _ in range(int(next(words))):
                view, count = int(next(words)), int(next(words))
                pairs[view] = [int(next(words)) for _ in range(count)][: self.views - 1]
        except (ValueError, StopIteration):
            raise InputError(
                f"{file} must hold how many views there are, and of each a line with its number and a line "
                "with how many go beside it and which"
            ) from None
        for view, others in pairs.items():
            if len(others) < self.views - 1:
                raise InputError(
                    f"{file} has {len(others)} views beside view {view}, dataset.views={self.views} needs "
                    f"{self.views - 1}"
                )
        return pairs


def _camera(picture: Path, file: Path) -> tuple[View, tuple[float, float]]:
    """Return a view, and the least and the largest depth of its camera file."""
    width, height = size_of(picture)
    if not file.exists():
        raise InputError(f"{picture} has no camera {file}")
    words = read_words(file, f"the camera {file}")
    try:
        focal, right, down, near, far = map(float, words[17:22])
    except ValueError:
        raise InputError(f"{file} must hold: {CAMERA}") from None
    if words[0] != "extrinsic" or not (focal > 0 and 0 < near < far < np.inf):
        raise InputError(f"{file} must hold: {CAMERA}, all of these above 0")
    lens = (focal / width, focal / height, right / width, down / height)
    return View(picture, lens, pose_of(words[1:17], file) @ FLIP), (near, far)


def _folder(folder: Path) -> Path:
    """Return a folder. Raises InputError if there is none."""
    if not folder.is_dir():
        raise InputError(f"dataset.root: there is no folder {folder}")
    return folder
