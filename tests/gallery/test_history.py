"""What a history says of each sample, against a slow plain version; and its file."""

import numpy as np
import pytest

from bls_bench.gallery.history import facts_of, read
from bls_bench.system.errors import InputError

from .helpers import made


def longest_gap(kept):
    return max(map(len, "".join("x" if one else "-" for one in kept).split("x")))


def test_facts_are_those_of_a_plain_count():
    history = made()
    facts = facts_of(history)
    kept = np.stack([history.kept_in(epoch) for epoch in range(history.epochs)])
    scores = history.scores.astype(np.float64)
    means = np.array([scores[epoch, kept[epoch]].mean() for epoch in range(history.epochs)])
    for sample in range(history.num_samples):
        at = kept[:, sample]
        assert facts.times[sample] == at.sum()
        assert facts.last[sample] == (max(np.flatnonzero(at)) if at.any() else -1)
        assert facts.absent[sample] == longest_gap(at)
        own = scores[at, sample]
        expected = (own.mean(), own.std(), (own - means[at]).mean()) if at.any() else [np.nan] * 3
        found = (facts.mean[sample], facts.spread[sample], facts.excess[sample])
        assert found == pytest.approx(tuple(expected), rel=1e-5, abs=1e-6, nan_ok=True)
    assert facts.times[-3:].tolist() == [0, 0, 0]


def test_a_sample_that_was_trained_on_and_has_no_score_has_no_mean():
    history = made()
    history.scores[:, 0] = np.nan
    facts = facts_of(history)
    assert facts.times[0] > 0
    assert np.isnan([facts.mean[0], facts.spread[0], facts.excess[0]]).all()
    assert np.isfinite(facts.mean[1])


def test_an_excess_does_not_depend_on_when_a_sample_was_seen():
    """Scores fall with the loss of all; a mean favours who was seen early, the excess does not."""
    history = made()
    history.scores[:] = np.linspace(3, 0, history.epochs)[:, None]
    facts = facts_of(history)
    seen = facts.times > 0
    assert np.ptp(facts.mean[seen]) > 0.5
    assert facts.excess[seen] == pytest.approx(0, abs=1e-6)


def test_a_file_gives_back_what_was_written(tmp_path):
    history = made()
    history.write(tmp_path / "look.npz", {"key": "ä"})
    found, about = read(tmp_path / "look.npz")
    assert np.array_equal(found.kept, history.kept)
    assert np.array_equal(found.scores, history.scores, equal_nan=True)
    assert about == {"key": "ä"}
    assert [path.name for path in tmp_path.iterdir()] == ["look.npz"]


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04"])
def test_a_file_that_is_none_is_refused_by_name(content, tmp_path):
    path = tmp_path / "look.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="look.npz is no whole history of a run"):
        read(path)
