"""The look page of a handler: what it shows, how it is resumed, what it refuses."""

import json
import re

import numpy as np
import pytest
import torch

from bls_bench import BLS, InfoBatch
from bls_bench.gallery.shown import Shown

from .helpers import HANDLERS, Planted, loader_of, train

N = 103


def content(path):
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())
    return json.loads(found)


@pytest.mark.parametrize("make", [*HANDLERS, lambda *args, **rest: BLS(InfoBatch(*args, **rest)).proxy()])
def test_every_handler_writes_its_page(make, tmp_path):
    handler = make(Planted(N), 6, look=True)
    seen = train(handler, loader_of(handler), 6)
    data = content(handler.look(tmp_path / "page.html", lambda i: Shown(f"number {i}"), [0] * N, ["all"]))
    assert (data["samples"], data["epochs"], data["classes"]) == (N, 6, ["all"])
    assert sorted(data["media"]["labels"]) == sorted(f"number {i}" for i in range(N))
    history = handler.trace.history()
    for epoch, batches in enumerate(seen):
        assert np.flatnonzero(history.kept_in(epoch)).tolist() == sorted(torch.cat(batches).tolist())


def test_a_page_needs_no_picture_and_no_class(tmp_path):
    handler = InfoBatch(Planted(N), 6, look=True)
    train(handler, loader_of(handler))
    data = content(handler.look(str(tmp_path / "page.html")))
    assert data["media"]["labels"] == [""] * N


def test_a_resumed_handler_has_the_page_of_a_whole_run(tmp_path):
    whole = InfoBatch(Planted(N), 6, look=True)
    train(whole, loader_of(whole), 4)
    first = InfoBatch(Planted(N), 6, look=True)
    train(first, loader_of(first), 2)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    resumed = InfoBatch(Planted(N), 6, look=True)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    train(resumed, loader_of(resumed), 2)
    pages = [one.look(tmp_path / "page.html").read_text() for one in (whole, resumed)]
    assert pages[0] == pages[1]


def test_looking_changes_nothing_of_a_run():
    one, other = InfoBatch(Planted(N), 6), InfoBatch(Planted(N), 6, look=True)
    seen = [train(handler, loader_of(handler), 6) for handler in (one, other)]
    for batches, others in zip(*seen, strict=True):
        assert torch.equal(torch.cat(batches), torch.cat(others))
    assert torch.equal(one.scores, other.scores)


def test_what_cannot_be_looked_at_is_refused(tmp_path):
    page = tmp_path / "page.html"
    plain, handler = InfoBatch(Planted(N), 6), InfoBatch(Planted(N), 6, look=True)
    with pytest.raises(RuntimeError, match="make the handler with look=True"):
        plain.look(page)
    with pytest.raises(ValueError, match="before an epoch has ended"):
        handler.look(page)
    train(plain, loader_of(plain))
    with pytest.raises(ValueError, match="look=True must be given from the first epoch"):
        handler.load_state_dict(plain.state_dict())
    train(handler, loader_of(handler))
    with pytest.raises(ValueError, match=r"targets must be \(103,\)"):
        handler.look(page, targets=[1, 2])
    assert not page.exists()
