"""What the scores of a run are made of: numbers from whom each epoch trained on, and plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LONGEST = 6  # absences from so many epochs on are taken together
# From which rank correlation on a score knows a little, something, a lot.
DEGREES = ((0.05, "hardly anything"), (0.15, "a little"), (0.4, "something"), (2.0, "a lot"))


@dataclass(frozen=True)
class Diagnosis:
    """What is told of a run of E epochs and N samples.

    score_loss, score_absence: means over the epochs of the rank correlations of the scores used with the
    losses then seen, and with the epochs since a sample was last trained on; None where no epoch has one.
    kept_by_absence: for samples last trained on 1, 2, ... epochs ago (the last: LONGEST or more) the share
    that is trained on, in epochs that left out samples; NaN where there were none.
    kept_by_class: the same for the samples of each class; empty without classes.
    epochs_trained, longest_absence: (N,) int, of each sample.
    weight_sum, weight_spread: means over the epochs that left out samples; None where no epoch did.
    """

    epochs: int
    score_loss: float | None
    score_absence: float | None
    kept_by_absence: np.ndarray
    kept_by_class: np.ndarray
    epochs_trained: np.ndarray
    longest_absence: np.ndarray
    weight_sum: float | None
    weight_spread: float | None


def diagnose(
    trained: np.ndarray, curves: Mapping[str, Sequence[Any]], targets: np.ndarray | None
) -> Diagnosis:
    """Look at a run.

    trained: (E, N) bool, whether an epoch trained on a sample. curves: a column a metric, with a value an
    epoch. targets: (N,) int, the class of each sample; None without classes.
    """
    pruning = np.asarray((~trained).any(axis=1))
    classes = np.array([]) if targets is None else np.unique(targets)
    by_class = [trained[pruning][:, targets == one].mean() if pruning.any() else 1.0 for one in classes]
    return Diagnosis(
        epochs=len(trained),
        score_loss=mean(curves["score_loss_spearman"]),
        score_absence=mean(curves["score_absence_spearman"]),
        kept_by_absence=kept_by_absence(trained),
        kept_by_class=np.array(by_class),
        epochs_trained=trained.sum(axis=0),
        longest_absence=longest_absence(trained),
        weight_sum=mean(some(curves["weight_sum"], pruning)),
        weight_spread=mean(some(curves["weight_spread"], pruning)),
    )


def some(column: Sequence[Any], which: np.ndarray) -> list[Any]:
    """Return the values of a column in the epochs that are marked."""
    return [value for value, wanted in zip(column, which, strict=True) if wanted]


def mean(column: Sequence[float | None]) -> float | None:
    """Return the mean of the values that there are; None if there is none."""
    values = [value for value in column if value is not None]
    return float(np.mean(values)) if values else None


def kept_by_absence(trained: np.ndarray) -> np.ndarray:
    """Return the shares trained on by epochs since the last time, (LONGEST,), see `Diagnosis`."""
    kept, all_ = np.zeros(LONGEST), np.zeros(LONGEST)
    last = np.where(trained[0], 0, -1)
    for epoch in range(1, len(trained)):
        now, known = trained[epoch], last >= 0
        if not now.all():
            place = np.minimum(epoch - last[known], LONGEST) - 1
            all_ += np.bincount(place, minlength=LONGEST)
            kept += np.bincount(place, weights=now[known], minlength=LONGEST)
        last[now] = epoch
    with np.errstate(invalid="ignore"):
        return kept / all_


def longest_absence(trained: np.ndarray) -> np.ndarray:
    """Return the most epochs in a row that left each sample out, (N,) int."""
    longest = run = np.zeros(trained.shape[1], dtype=int)
    for now in trained:
        run = np.where(now, 0, run + 1)
        longest = np.maximum(longest, run)
    return longest


def words(found: Diagnosis) -> list[str]:
    """Say it in three lines."""
    return [_of_losses(found), _of_time(found), _of_training(found)]


def _of_losses(found: Diagnosis) -> str:
    if found.score_loss is None:
        return "Losses: what the scores know of them cannot be told, the task gives no losses of samples."
    degree = next(word for bound, word in DEGREES if abs(found.score_loss) < bound)
    return (
        f"Losses: scores and the losses then seen have a rank correlation of {found.score_loss:+.2f}; "
        f"the scores know {degree} of which samples are hard."
    )


def _of_time(found: Diagnosis) -> str:
    if found.score_absence is None:
        return "Time: all samples were trained on equally long ago, so scores cannot tell the time."
    first, *later = found.kept_by_absence
    later = [share for share in later if not np.isnan(share)]
    text = f"Time: scores and the epochs since the last training correlate by {found.score_absence:+.2f}"
    if not later or np.isnan(first):
        return f"{text}."
    return f"{text}; of samples just trained on {first:.0%} are kept, of those left out once {later[0]:.0%}."


def _of_training(found: Diagnosis) -> str:
    text = (
        f"Training: a sample was trained on in {found.epochs_trained.mean():.1f} of {found.epochs} epochs "
        f"({found.epochs_trained.min()} to {found.epochs_trained.max()}), and left out "
        f"{found.longest_absence.max()} in a row at most"
    )
    if found.weight_sum is None or found.weight_spread is None:
        return f"{text}; no epoch left samples out."
    weights = f"weights sum to {found.weight_sum:.2f} of the samples and spread by {found.weight_spread:.0%}"
    return f"{text}; {weights}."
