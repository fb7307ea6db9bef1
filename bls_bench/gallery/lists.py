"""Which samples a page lists, so that they are the first to get a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from bls_bench.gallery.history import Epoch, Facts

# Samples of a list.
LENGTH = 24


def first(keys: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the samples of the lowest keys, at most LENGTH of those `among` (N,) bool; NaN is no key.

    Of equal keys the sample that comes first. The page does the same (`lowest` in page.js).
    """
    candidates = np.flatnonzero(among & ~np.isnan(keys))
    return candidates[np.argsort(keys[candidates], kind="stable")[:LENGTH]]


def of_run(facts: Facts, among: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the lists of the whole run."""
    times, absent = facts.times.astype(np.float32), facts.absent.astype(np.float32)
    for keys in (-times, times, -facts.mean, facts.mean, -absent, -facts.excess):
        yield first(keys, among)


def of_epoch(epoch: Epoch) -> Iterator[np.ndarray]:
    """Yield the lists of an epoch: the highest and lowest scores of those it kept, and of those left out."""
    for among in (epoch.kept, ~epoch.kept):
        yield first(-epoch.scores, among)
        yield first(epoch.scores, among)


def ordered(facts: Facts, epochs: Sequence[Epoch], targets: np.ndarray | None) -> np.ndarray:
    """Return all N samples: those of lists of the run, then those of epochs and classes, then the others."""
    everyone = np.ones(len(facts.times), dtype=bool)
    parts = [*map(of_epoch, epochs)]
    if targets is not None:
        parts += [of_run(facts, targets == target) for target in np.unique(targets)]
    listed = np.concatenate(
        [_in_turn(of_run(facts, everyone)), _in_turn(chain(*parts)), np.arange(len(everyone))]
    )
    return listed[np.sort(np.unique(listed, return_index=True)[1])]


def _in_turn(lists: Iterable[np.ndarray]) -> np.ndarray:
    """Return the first sample of every list, then the second of every list, and so on."""
    table = np.stack([np.pad(one, (0, LENGTH - len(one)), constant_values=-1) for one in lists], 1)
    return table[table >= 0]
