"""How a sample is shown: a picture, a text or a sound, and the words below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shown:
    """What there is to see, hear or read of a sample; all of it may be missing.

    label: its class, or what is on it. picture: (H, W, 3) uint8, with boxes or masks drawn where it has
    some. text: a sentence or a caption. wave: (t,) int16 at `rate` values a second.
    """

    label: str = ""
    picture: np.ndarray | None = None
    text: str = ""
    wave: np.ndarray | None = None
    rate: int = 8000


def named(target: int, classes: Sequence[str]) -> str:
    """Return the name of a class, its number where it has none."""
    return classes[target] if target < len(classes) else str(target)


def numbered(indices: Sequence[int], targets: np.ndarray | None, classes: Sequence[str]) -> Iterator[Shown]:
    """Yield the classes of samples, all that is known of them."""
    for index in indices:
        yield Shown() if targets is None else Shown(named(int(targets[index]), classes))
