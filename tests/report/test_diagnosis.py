"""What the scores of a run are made of."""

import numpy as np
import pytest

from bls_bench.report import diagnosis
from bls_bench.report.diagnosis_page import html

# Four samples, five epochs: all, then always the first, and the others by turns.
TRAINED = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, 1, 0, 0]], dtype=bool)
CURVES = {
    "score_loss_spearman": [None, 0.2, 0.3, 0.1, 0.2],
    "score_absence_spearman": [None, None, 0.5, 0.7, 0.6],
    "weight_sum": [1.0, 0.8, 0.8, 1.0, 1.0],
    "weight_spread": [0.0, 0.4, 0.4, 0.2, 0.2],
}


def test_numbers_against_what_can_be_counted_by_hand():
    found = diagnosis.diagnose(TRAINED, CURVES, np.array([0, 1, 1, 1]))
    assert found.epochs_trained.tolist() == [5, 3, 2, 2]
    assert found.longest_absence.tolist() == [0, 2, 2, 2]
    # Last trained on one epoch ago: 4, 2, 2 and 2 cases, of which 2, 1, 1 and 1 are kept.
    assert found.kept_by_absence[0] == pytest.approx(5 / 10)
    assert found.kept_by_class.tolist() == pytest.approx([1, 4 / 12])
    assert (found.score_loss, found.score_absence) == pytest.approx((0.2, 0.6))
    assert (found.weight_sum, found.weight_spread) == pytest.approx((0.9, 0.3))


def test_absences_against_a_plain_loop():
    trained = np.random.default_rng(0).random((30, 200)) < 0.4
    kept, all_ = np.zeros(diagnosis.LONGEST), np.zeros(diagnosis.LONGEST)
    for sample in trained.T:
        last = None
        for epoch, now in enumerate(sample):
            if last is not None:
                place = min(epoch - last, diagnosis.LONGEST) - 1
                all_[place] += 1
                kept[place] += now
            last = epoch if now else last
    np.testing.assert_allclose(diagnosis.kept_by_absence(trained), kept / all_)


def test_the_words_are_three_lines_and_the_page_needs_no_other_file():
    found = diagnosis.diagnose(TRAINED, CURVES, np.array([0, 1, 1, 1]))
    told = diagnosis.words(found)
    assert [line.partition(":")[0] for line in told] == ["Losses", "Time", "Training"]
    page = html("abc", found, CURVES, ["0", "1"])
    assert "data:image/png;base64," in page
    assert all(word not in page for word in ("http:", "https:", "<script"))


def test_a_run_that_prunes_nothing_has_nothing_to_tell_of_time_and_weights():
    curves = {name: [None] * 3 for name in CURVES}
    found = diagnosis.diagnose(np.ones((3, 5), dtype=bool), curves, None)
    told = diagnosis.words(found)
    assert "cannot be told" in told[0]
    assert "equally long ago" in told[1]
    assert "no epoch left samples out" in told[2]
    assert html("abc", found, curves, [])
