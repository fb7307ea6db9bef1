"""How busy the machine was, looked at while a run is trained."""

import os
from threading import Event

from bls_bench.records import load
from bls_bench.records.load import Load


def test_the_highest_load_of_the_time_is_noted(monkeypatch):
    loads, all_seen = [0.5, 1.5, 1.0], Event()

    def getloadavg():
        now = loads.pop(0) if loads else 0.2
        if not loads:
            all_seen.set()
        return now, 9.0, 9.0

    monkeypatch.setattr(os, "getloadavg", getloadavg)
    monkeypatch.setattr(load, "SECONDS", 0.001)
    with Load() as watched:
        assert all_seen.wait(10)
    assert watched.highest == 1.5


def test_a_run_shorter_than_the_time_between_two_looks_has_a_load_as_well(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.7, 9.0, 9.0))
    with Load() as watched:
        assert watched.highest is None
    assert watched.highest == 0.7
