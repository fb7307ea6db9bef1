"""What is on a page: every sample's numbers, the pictures of those listed, and no more than fits."""

import base64
import io
import wave

import numpy as np
import pytest
from PIL import Image

from bls_bench.gallery import media
from bls_bench.gallery import page as pages
from bls_bench.gallery.history import facts_of
from bls_bench.gallery.lists import first
from bls_bench.gallery.shown import Shown, numbered

from .helpers import column, made, page, pictures


def test_every_sample_is_there_with_its_numbers(tmp_path):
    history, targets = made(), np.arange(203) % 4
    data = page(tmp_path / "p.html", history, pictures, targets, ("a", "b", "c", "d"))
    order = column(data["columns"]["number"], "<u4")
    assert sorted(order) == list(range(203))
    facts = facts_of(history)
    for name in ("times", "absent"):
        assert np.array_equal(column(data["columns"][name], "<u4"), getattr(facts, name)[order])
    for name in ("mean", "spread", "excess"):
        found, expected = column(data["columns"][name], "<f4"), getattr(facts, name)[order]
        assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(column(data["columns"]["target"], "<u4"), targets[order])
    assert data["classes"] == ["a", "b", "c", "d"]
    assert [one["number"] for one in data["chosen"]] == list(range(7))
    for epoch, one in enumerate(data["chosen"]):
        scores = column(one["scores"], "<f2")
        assert np.array_equal(scores, history.scores[epoch][order], equal_nan=True)
        kept = np.unpackbits(column(one["kept"], np.uint8), count=203)
        assert np.array_equal(kept, history.kept_in(epoch)[order])


def test_each_picture_is_that_of_its_sample(tmp_path):
    data = page(tmp_path / "p.html", made(), pictures)
    order, places = column(data["columns"]["number"], "<u4"), column(data["places"], "<u4")
    (sheet,) = data["media"]["sheets"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet))).convert("L")).astype(int)
    side, columns = data["media"]["cell"], data["media"]["columns"]
    assert sorted(places) == list(range(203))
    for at, row in enumerate(places):
        assert data["media"]["labels"][at] == f"grey {order[row]}"
        top, left = at // columns * side, at % columns * side
        assert abs(pixels[top : top + side, left : left + side] - order[row]).max() <= 2


def test_where_not_all_fit_the_samples_of_lists_come_first(tmp_path, monkeypatch):
    history = made(samples=3000)
    monkeypatch.setattr(pages, "SCORES", 3000)  # two epochs
    monkeypatch.setattr(media, "BUDGET", 1_500_000)
    monkeypatch.setattr(media, "SHEET", 128)
    data = page(tmp_path / "p.html", history, big_pictures, np.arange(3000) % 2)
    assert [one["number"] for one in data["chosen"]] == [0, 6]
    assert 500 < len(data["media"]["labels"]) < 1000
    shown = {int(label) for label in data["media"]["labels"]}
    facts, everyone = facts_of(history), np.ones(3000, bool)
    for keys in (facts.mean, -facts.mean, -facts.excess):  # continuous: no ties
        for among in (everyone, np.arange(3000) % 2 == 1):
            assert shown >= set(first(keys, among).tolist())
    # The others are a fair part: as many from either half.
    assert 0.4 < np.mean([sample < 1500 for sample in shown]) < 0.6


def big_pictures(indices):
    rng = np.random.default_rng(0)
    for index in indices:
        yield Shown(str(index), rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))


def test_fifty_thousand_samples_make_a_page_of_fifteen_megabytes_at_most(tmp_path):
    """The worst there is for JPEG: noise."""
    history = made(epochs=40, samples=50_000)
    data = page(tmp_path / "p.html", history, big_pictures, np.arange(50_000) % 100)
    assert len(data["chosen"]) == 20
    assert len(data["media"]["labels"]) > 3000
    assert (tmp_path / "p.html").stat().st_size < 15_000_000


def test_of_more_samples_some_are_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "MOST", 100)
    history = made()
    data = page(tmp_path / "p.html", history, pictures)
    order = column(data["columns"]["number"], "<u4")
    assert (len(order), data["samples"]) == (100, 203)
    # Of the six lists of the run the first samples each.
    assert set(order) >= set(first(-facts_of(history).mean, np.ones(203, bool))[:16].tolist())


def test_a_large_picture_is_made_small_and_one_that_is_not_square_keeps_its_shape():
    tall = np.zeros((400, 200, 3), dtype=np.uint8)
    tall[:200, :, 0] = 255
    found = media.collected(lambda indices: (Shown(picture=tall) for _ in indices), np.arange(2))
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["sheets"][0]))))
    assert (found["cell"], sheet.shape) == (128, (128, 256, 3))
    assert sheet[32, 64, 0] > 240
    assert sheet[96, 64].max() < 15
    assert sheet[64, 5].min() > 200  # beside it


def test_a_sound_is_a_wav_file_of_its_first_seconds():
    values = (np.sin(np.arange(9 * 8000)) * 20000).astype(np.int16)
    shows = lambda indices: (Shown(wave=values, rate=8000) for _ in indices)  # noqa: E731
    ((file, outline),) = media.collected(shows, np.arange(1))["sounds"]
    with wave.open(io.BytesIO(base64.b64decode(file))) as reader:
        assert (reader.getframerate(), reader.getnchannels()) == (8000, 1)
        frames = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
    assert np.array_equal(frames, values[:24_000])
    assert len(column(outline, np.uint8)) == media.PARTS


def test_texts_are_data_and_no_markup(tmp_path):
    text = "</script><script>alert(1)</script>"
    shows = lambda indices: (Shown(text=text) for _ in indices)  # noqa: E731
    data = page(tmp_path / "p.html", made(), shows)
    assert set(data["media"]["texts"]) == {text}
    assert "alert(1)</script>" not in (tmp_path / "p.html").read_text()
    assert set(data["media"]["alike"]) == {0}


@pytest.mark.parametrize("targets", [None, np.arange(203) % 3])
def test_without_anything_to_see_a_sample_is_its_number_and_class(targets, tmp_path):
    shows = lambda indices: numbered(indices, targets, ())  # noqa: E731
    data = page(tmp_path / "p.html", made(), shows, targets)
    assert data["media"]["cell"] == 0
    assert len(data["media"]["labels"]) == 203
    assert data["classes"] == ([] if targets is None else ["0", "1", "2"])


def test_equal_keys_are_listed_in_order_and_nan_never():
    keys = np.array([1, np.nan, 0, 1, 0], dtype=np.float32)
    assert first(keys, np.ones(5, bool)).tolist() == [2, 4, 0, 3]
    assert first(keys, np.array([True, True, False, True, True])).tolist() == [4, 0, 3]
