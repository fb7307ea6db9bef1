"""A made-up history, and pages read back."""

import base64
import json
import re

import numpy as np

from bls_bench.gallery.history import History
from bls_bench.gallery.page import About, write
from bls_bench.gallery.shown import Shown

ABOUT = About("a run", {"samples": "many"})


def made(epochs=7, samples=203, unseen=3, seed=0):
    """Return a history: samples kept at random, none of the last `unseen`; scores that differ."""
    rng = np.random.default_rng(seed)
    kept = rng.random((epochs, samples)) < 0.6
    kept[:, samples - unseen :] = False
    scores = np.where(kept.cumsum(0) > 0, rng.normal(2, 1, (epochs, samples)), np.nan)
    return History(np.packbits(kept, axis=1), scores.astype(np.float16))


def pictures(indices):
    """Show sample i as a picture of its own grey."""
    for index in indices:
        yield Shown(f"grey {index}", np.full((8, 8, 3), index % 256, dtype=np.uint8))


def page(path, history, show, *rest):
    """Write a page; returns the data in it."""
    write(path, history, ABOUT, show, *rest)
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())
    return json.loads(found)


def column(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)
