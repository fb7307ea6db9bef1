"""Neighbouring frames of a film as pairs of views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bls_bench.data.trees import Tree
from bls_bench.system.errors import InputError
from bls_bench.tasks.retrieval.data import Pair, PairedPictures

SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class FramePairs(PairedPictures):
    """`root` holds the frames of a film as JPEG files, in the order of their names.

    A pair is a frame and that `gap` frames later; no frame is in two pairs. The last `tested` of the film, a
    share, is tested on.
    """

    name: str = "scene7_pairs"
    gap: int = 1
    tested: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gap < 1:
            raise ValueError(f"gap must be at least 1, got {self.gap}")
        if not 0 < self.tested < 1:
            raise ValueError(f"tested must be in (0, 1), got {self.tested}")

    def pairs(self, root: Path) -> tuple[Sequence[Pair], Sequence[Pair]]:
        frames = sorted(map(Path, Tree(root, SUFFIXES).files()))
        cut = round(len(frames) * (1 - self.tested))
        train, test = neighbours(frames[:cut], self.gap), neighbours(frames[cut:], self.gap)
        if not train or not test:
            raise InputError(
                f"dataset.root={self.root} has {len(frames)} frames, too few for pairs on both sides"
            )
        return train, test


def neighbours(frames: Sequence[Path], gap: int) -> list[Pair]:
    """Return the pairs: of each 2 * gap frames the first half with the second."""
    firsts = (at for at in range(len(frames) - gap) if at // gap % 2 == 0)
    return [(frames[at], frames[at + gap]) for at in firsts]
