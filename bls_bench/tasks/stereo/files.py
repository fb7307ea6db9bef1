"""Scenes in files: pictures whose cameras are known, and the depth of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from PIL import Image

from bls_bench.data.base import Data
from bls_bench.data.decoding import decode, opened, size_of
from bls_bench.data.pictures import PictureFiles
from bls_bench.system.errors import InputError, folded
from bls_bench.system.lazy import torch
from bls_bench.tasks.stereo.views import Views, check_sizes, make_batch

if TYPE_CHECKING:
    from torch import Tensor

# How far a rotation's rows may be from unit length and from right angles; files have few digits.
SKEW = 1e-2


class View(NamedTuple):
    """A picture and its camera.

    lens: as in `ViewBatch`, but in widths and heights of the picture. pose: (4, 4) float64, from the camera,
    x right, y down, z ahead, to the world, in metres.
    """

    picture: Path
    lens: tuple[float, float, float, float]
    pose: np.ndarray


class SceneFiles(NamedTuple):
    """Views of a scene, the depth of the first, and the least and the largest depth, in metres."""

    views: tuple[View, ...]
    depth: Path
    ends: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class SceneFolder(PictureFiles):
    """Scenes in files under `root`, `views` of each; pictures are scaled to `height` and `width`.

    per_metre: what a metre is in the files of depth.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"views"})
    height: int
    width: int
    views: int
    per_metre: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self.height, self.width, self.views)
        if not self.per_metre > 0:
            raise ValueError(f"per_metre must be above 0, got {self.per_metre}")

    def _scenes(
        self, train: Sequence[SceneFiles], test: Sequence[SceneFiles], seed: int, device: torch.device | None
    ) -> Data:
        readers = (self._reader(train), self._reader(test))
        bytes_each = (3 * self.views + 4) * self.height * self.width
        splits = self._splits(readers, (make_batch, make_batch), None, bytes_each, seed, device)
        return Data(train=splits[0], test=splits[1], info=Views(self.height, self.width, self.views))

    def _reader(self, scenes: Sequence[SceneFiles]) -> SceneReader:
        return SceneReader(tuple(scenes), self.height, self.width, self.per_metre)


@dataclass(frozen=True)
class SceneReader:
    """A `Reader` of what `make_batch` takes."""

    scenes: tuple[SceneFiles, ...]
    height: int
    width: int
    per_metre: float

    @property
    def ragged(self) -> frozenset[str]:
        return frozenset()

    def __len__(self) -> int:
        return len(self.scenes)

    def __call__(self, index: int) -> dict[str, Tensor]:
        """See `Reader`; raises InputError also for a map without any depth."""
        views, file, ends = self.scenes[index]
        scale = torch.tensor([self.width, self.height] * 2)
        back = [np.linalg.inv(view.pose) for view in views[1:]]
        moves = np.stack([pose @ views[0].pose for pose in back])[:, :3]
        return {
            "images": torch.stack([decode(str(view.picture), self._scaled) for view in views]),
            "lenses": torch.tensor([view.lens for view in views], dtype=torch.float32) * scale,
            "moves": torch.from_numpy(moves).float(),
            "ranges": torch.tensor(ends),
            "depths": self._depth(file, ends),
        }

    def _scaled(self, picture: Image.Image) -> Tensor:
        # Imported here: it takes seconds.
        from torchvision.transforms.v2.functional import pil_to_tensor

        return pil_to_tensor(picture.resize((self.width, self.height), Image.Resampling.BILINEAR))

    def _depth(self, file: Path, ends: tuple[float, float]) -> Tensor:
        """Return (height, width) in metres, each pixel that of the nearest in the file, 0 outside `ends`."""
        try:
            with opened(file) as picture:
                if not picture.mode.startswith("I"):
                    raise InputError(f"{file} must have one channel of 16 bits, it has mode {picture.mode}")
                values = np.asarray(picture)
        except (OSError, SyntaxError) as error:
            raise InputError(f"{file} cannot be read as an image: {folded(error)}") from None
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(int)
            for new, old in zip((self.height, self.width), values.shape, strict=True)
        )
        depth = values[rows[:, None], columns].astype(np.float32) / self.per_metre
        known = (depth >= ends[0]) & (depth <= ends[1])
        if not known.any():
            raise InputError(f"{file} has no depth between {ends[0]:g} and {ends[1]:g} m")
        return torch.from_numpy((depth * known).astype(np.float32))


def size_with(picture: Path, depth: Path) -> tuple[int, int]:
    """Return width and height of a picture. Raises InputError if its map of depths has others."""
    size, found = size_of(picture), size_of(depth)
    if found != size:
        raise InputError(
            f"{depth} is a map of {found[0]}x{found[1]} depths, its picture has {size[0]}x{size[1]}"
        )
    return size


def pose_of(words: Sequence[str], file: Path) -> np.ndarray:
    """Return a pose (4, 4) of its 16 numbers, row by row. Raises InputError, naming the file."""
    try:
        pose = np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None
    if len(pose) != 16:
        raise InputError(f"{file} must hold a pose of 4x4 numbers, it has {len(pose)}")
    if not np.isfinite(pose).all():
        raise InputError(f"{file} holds a pose that is not finite")
    pose = pose.reshape(4, 4)
    turn = pose[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > SKEW or np.linalg.det(turn) < 0:
        raise InputError(f"{file} holds a pose whose upper left 3x3 numbers are no rotation")
    return pose


def read_words(file: Path, what: str) -> list[str]:
    """Return the words of a text file. Raises InputError, which says what it is to hold."""
    try:
        return file.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what} cannot be read: {folded(error)}") from None
