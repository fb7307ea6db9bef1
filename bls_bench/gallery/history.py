"""What a run did with its samples: who was trained on in each epoch, and the scores after it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from bls_bench.system import durable
from bls_bench.system.errors import InputError


@dataclass(frozen=True)
class History:
    """kept: (E, ceil(N / 8)) uint8, a bit a sample as numpy packs them. scores: (E, N) float16, NaN: none."""

    kept: np.ndarray
    scores: np.ndarray

    @property
    def epochs(self) -> int:
        return len(self.scores)

    @property
    def num_samples(self) -> int:
        return self.scores.shape[1]

    def kept_in(self, epoch: int) -> np.ndarray:
        """Return whom an epoch trained on, (N,) bool."""
        return np.unpackbits(self.kept[epoch], count=self.num_samples).astype(bool)

    def write(self, path: Path, about: dict[str, Any]) -> None:
        """Write an .npz file by rename. about: what JSON can hold of the run."""
        temporary = path.with_name("." + path.name)
        np.savez(temporary, kept=self.kept, scores=self.scores, about=np.array(json.dumps(about)))
        durable.rename(temporary, path)


def read(path: Path) -> tuple[History, dict[str, Any]]:
    """Return what `History.write` wrote; raises InputError for a file that is something else or damaged."""
    try:
        with np.load(path) as file:
            history = History(file["kept"], file["scores"])
            about = json.loads(str(file["about"]))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no whole history of a run: {error}") from None
    return history, about


@dataclass(frozen=True)
class Facts:
    """What a history says of each of N samples, float32 or int32.

    times: epochs that trained on it. last: the last of them, -1 for none. absent: the most epochs in a row
    that did not. mean, spread: of its score after the epochs that trained on it, over these; NaN for a
    sample that has none. excess: the mean of its score less the mean score of all that the same epoch trained
    on; so a score that falls with the loss of all does not favour those seen early.
    """

    times: np.ndarray
    last: np.ndarray
    absent: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    excess: np.ndarray

    def take(self, order: np.ndarray) -> Facts:
        """Return those of some samples, in an order."""
        return Facts(*(getattr(self, field.name)[order] for field in fields(self)))


@dataclass(frozen=True)
class Epoch:
    """One epoch: its number, the scores (N,) float32 after it, and whom it trained on, (N,) bool."""

    number: int
    scores: np.ndarray
    kept: np.ndarray


def facts_of(history: History) -> Facts:
    """Go through the epochs once; memory of a few values a sample."""
    count = history.num_samples
    times, last, away, absent = (np.zeros(count, np.int32) for _ in range(4))
    last -= 1
    scored = np.zeros(count, np.int32)
    mean, squares, excess = np.zeros(count), np.zeros(count), np.zeros(count)
    for epoch in range(history.epochs):
        kept = history.kept_in(epoch)
        times += kept
        last[kept] = epoch
        away = np.where(kept, 0, away + 1)
        absent = np.maximum(absent, away)
        score = history.scores[epoch].astype(np.float64)
        fresh = kept & ~np.isnan(score)
        if not fresh.any():
            continue
        scored += fresh
        # Welford's update, which loses nothing where scores are far from 0.
        step = np.where(fresh, score - mean, 0.0)
        mean += step / np.maximum(scored, 1)
        squares += step * np.where(fresh, score - mean, 0.0)
        excess += np.where(fresh, score - score[fresh].mean(), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = np.where(scored > 0, mean, np.nan), np.sqrt(squares / scored), excess / scored
    return Facts(times, last, absent, *(part.astype(np.float32) for part in parts))
