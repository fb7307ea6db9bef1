"""The live line: the time left, and what pruning saved."""

import io
from types import SimpleNamespace

import pytest

from bls_bench.engine import live
from bls_bench.engine.live import Live, Pace, duration, rest
from tests.helpers import StopAt, make_engine


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(live.time, "monotonic", lambda: clock.now)
    return clock


@pytest.mark.parametrize("began", [0.0, 0.25, 0.5])
def test_at_a_steady_pace_the_time_left_is_exact(began, clock):
    """Also of a run that goes on: what another process did before does not count."""
    pace = Pace()
    assert pace.left is None
    for step in range(10):
        progress = began + step * (1 - began) / 10
        assert pace.at(progress) == progress
        assert pace.left is None if step == 0 else pace.left == pytest.approx(10 - step)
        clock.now += 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.54, "9.5 s"), (60, "1 min 00 s"), (200.4, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_times_are_written_as_people_read_them(seconds, text):
    assert duration(seconds) == text


def test_a_sample_left_out_is_taken_to_save_what_one_trained_on_costs(clock):
    state = SimpleNamespace(pruned_percent=25.0, left_out=500)
    history = [{"train_seconds": 6.0, "trained": 1000}, {"train_seconds": 3.0, "trained": 500}]
    assert rest(Pace(), state, history) == "pruned 25.0%  saved 500 samples, 3.0 s"
    assert rest(Pace(), SimpleNamespace(pruned_percent=0.0, left_out=0), history) == "pruned 0.0%"


def test_what_is_left_out_is_what_pruned_percent_is_of():
    engine = make_engine("pruner=random")
    for _ in range(2):
        engine.epoch(None, StopAt(-1))
    state = engine.state
    assert state.left_out == 2 * 50
    assert state.pruned_percent == pytest.approx(100 * state.left_out / (2 * state.num_samples))


def test_the_text_is_made_only_where_it_is_seen():
    made = []
    file = io.StringIO()
    for _ in Live([1, 2, 3], lambda: made.append(1) or "rest", file=file, disable=None):
        pass
    assert made == []
    assert file.getvalue() == ""
    file.isatty = lambda: True
    for _ in Live([1, 2, 3], lambda: made.append(1) or "the rest", file=file, disable=None, ncols=100):
        pass
    assert made
    assert "the rest" in file.getvalue()
