"""How signal and noise of batch losses vary over the epochs, and what a moving average does to them.

The loss of a batch of B is S + N for each of its samples: the scaled signal S = l_i / B, and the batch noise
N, the other samples' part (BLS, Eq. 3 and Definition 4.1). A series has one value an epoch.
"""

from dataclasses import dataclass

import numpy as np
from scipy import signal

from bls_bench.report.cells import Cell
from bls_bench.report.runs import Run

ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
TOLD_ALPHA = 0.7  # the paper's


@dataclass(frozen=True)
class Spectrum:
    """Power spectral density over frequencies: mean, 10th and 90th percentile of the samples, (F,) each."""

    frequencies: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def kept(cell: Cell) -> list[Run]:
    """Return the runs that kept their losses."""
    return [run for run in cell.runs.values() if run.losses is not None]


def series(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return S and N, (M, epochs) float64 each, of the M samples that no epoch left out; for one of `kept`.

    B is the share that each process had of the batch; the shorter last batch of an epoch is taken as whole.
    """
    assert run.losses is not None
    own, batch = (table[:, np.isfinite(table).all(0)].T.astype(np.float64) for table in run.losses)
    scaled = own / (run.config["trainer"]["batch_size"] / run.environments[-1]["processes"])
    return scaled, batch - scaled


def spectrum(values: np.ndarray) -> Spectrum:
    """Estimate the density of each of the (M, epochs) series by Welch's method; frequencies in 1/epoch.

    scipy's defaults: Hann windows of 256 epochs, half overlapping, or one as long as the series, each less
    its mean. The frequency 0 is left out, since nothing but the window is left there.
    """
    frequencies, power = signal.welch(values, nperseg=min(256, values.shape[1]))
    power = power[:, 1:]
    return Spectrum(frequencies[1:], power.mean(0), *np.percentile(power, (10, 90), axis=0))


def around_epoch(values: np.ndarray) -> np.ndarray:
    """Return (M, epochs) series less each epoch's mean over the samples: the course of training is gone."""
    return values - values.mean(0)


def removed(deviations: np.ndarray, alpha: float) -> float:
    """Return the share of the power of (M, epochs) deviations that a moving average takes away, in percent.

    The average s <- alpha s + (1 - alpha) x starts from 0, what is expected of a deviation.
    """
    smooth = signal.lfilter([1 - alpha], [1, -alpha], deviations)
    return 100 * float(1 - (smooth**2).sum() / (deviations**2).sum())


def removed_of_white(alpha: float) -> float:
    """Return the same for white noise after many epochs: all but (1 - alpha) / (1 + alpha)."""
    return 100 * (1 - (1 - alpha) / (1 + alpha))


def finding(cell: Cell) -> str:
    """Say in a sentence what the moving average removes at the paper's alpha, mean over the runs."""
    pairs = [series(run) for run in kept(cell)]
    signal_share, noise_share = (
        np.mean([removed(around_epoch(values), TOLD_ALPHA) for values in kind])
        for kind in zip(*pairs, strict=True)
    )
    samples, epochs = pairs[0][0].shape
    return (
        f"{cell.column.label}: at alpha {TOLD_ALPHA} the moving average removes {noise_share:.0f}% of the "
        "power of the batch noise around each epoch's mean "
        f"(white noise: {removed_of_white(TOLD_ALPHA):.0f}%), and {signal_share:.0f}% of the signal's "
        f"({len(pairs)} runs, {samples} samples, {epochs} epochs)."
    )
