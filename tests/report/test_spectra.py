"""BLS Figure 2: signal and noise of kept losses, their spectra, and what a moving average removes."""

import numpy as np
import pytest

from bls_bench.experiments import spec
from bls_bench.report import cells, figures, spectra
from bls_bench.report.runs import Runs
from bls_bench.report.section import of_runs
from tests.report.helpers import write_record

EPOCHS, SAMPLES = 2, 100


@pytest.fixture
def folder(tmp_path):
    """The archive of a run in batches of 32; sample 0 sat the second epoch out."""
    write_record(tmp_path, "a")
    losses = np.random.default_rng(0).exponential(size=(2, EPOCHS, SAMPLES)).astype(np.float32)
    losses[1] += 1
    losses[:, 1, 0] = np.nan
    (tmp_path / "losses").mkdir()
    np.save(tmp_path / "losses" / "a.npy", losses)
    return tmp_path


def test_signal_and_noise_are_the_parts_of_the_batch_loss(folder):
    run = Runs(folder).get("a")
    scaled, noise = spectra.series(run)
    assert scaled.shape == noise.shape == (SAMPLES - 1, EPOCHS)
    own, batch = run.losses[:, :, 1:]
    assert np.allclose(scaled, own.T / 32)
    assert np.allclose(scaled + noise, batch.T)


@pytest.mark.parametrize("alpha", spectra.ALPHAS)
def test_white_noise_loses_what_theory_says(alpha):
    noise = np.random.default_rng(0).normal(size=(100, 2000))
    assert spectra.removed(noise, alpha) == pytest.approx(spectra.removed_of_white(alpha), abs=0.5)


def test_the_moving_average_is_that_of_the_scorer():
    deviations = np.random.default_rng(0).normal(size=(3, 6))
    score, power = np.zeros(3), 0.0
    for value in deviations.T:
        score = 0.7 * score + 0.3 * value
        power += (score**2).sum()
    assert spectra.removed(deviations, 0.7) == pytest.approx(100 * (1 - power / (deviations**2).sum()))


def test_what_all_samples_share_in_an_epoch_is_course_of_training():
    course = np.linspace(3, 0, 50) ** 2 + np.zeros((20, 1))
    assert np.allclose(spectra.around_epoch(course), 0)
    noise = np.random.default_rng(0).normal(size=(20, 50))
    assert np.allclose(spectra.around_epoch(course + noise), spectra.around_epoch(noise))


def test_the_spectrum_has_its_peak_where_the_series_swings():
    swing = np.cos(2 * np.pi * 0.25 * np.arange(40)) * np.ones((5, 1))
    found = spectra.spectrum(swing)
    assert found.frequencies[found.mean.argmax()] == 0.25
    assert found.frequencies[0] > 0
    # The density of white noise of variance 1 is 2, over the frequencies from 0 to 1/2.
    white = spectra.spectrum(np.random.default_rng(0).normal(size=(2000, 40)))
    assert white.mean[1:-1] == pytest.approx(np.full(len(white.mean) - 2, 2.0), rel=0.1)
    assert (white.low < white.mean).all()
    assert (white.mean < white.high).all()


def test_the_figure_and_what_is_told_of_it(folder):
    table = spec.load("fig2", "digits")
    built = cells.build(table, {("Full", "ResNet-18"): {0: "a", 1: "not there"}}, Runs(folder))
    assert of_runs(table, built).remarks[-1] == (
        "ResNet-18: at alpha 0.7 the moving average removes 88% of the power of the batch noise around each "
        "epoch's mean (white noise: 82%), and 89% of the signal's (1 runs, 99 samples, 2 epochs)."
    )
    labels = [axes.get_legend_handles_labels()[1] for axes in figures.draw(table, built).axes]
    assert [len(names) for names in labels] == [4, 2, 3]
    assert labels[2][-1] == "of white noise: all but (1-alpha)/(1+alpha)"


def test_a_run_without_losses_leaves_the_figure_empty(tmp_path):
    write_record(tmp_path, "a", 78.0)
    table = spec.load("fig2", "digits")
    built = cells.build(table, {("Full", "ResNet-18"): {0: "a"}}, Runs(tmp_path))
    assert not any(axes.lines for axes in figures.draw(table, built).axes)
    assert not any("moving average removes" in remark for remark in of_runs(table, built).remarks)
