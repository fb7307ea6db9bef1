"""METEOR, where Java and the package that brings it are there."""

import shutil

import pytest

from bls_bench.system.errors import InputError
from bls_bench.tasks.captioning import meteor as module
from bls_bench.tasks.captioning.meteor import meteor

from ..running import make_config, make_engine

TINY = ("task=captioning", "task.meteor=true", "dataset.images=40", "dataset.image_size=32")
METRICS = ["CIDEr", "BLEU4", "METEOR"]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("package", r"task.meteor needs pycocoevalcap, which is not installed: pip install 'bls_bench\[capt"),
        ("java", r"task.meteor needs Java, and there is no java on the PATH"),
    ],
)
def test_what_is_missing_is_told_in_one_line(missing, message, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None if missing == "package" else "there")
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(InputError, match=message):
        make_engine(*TINY)


def test_it_is_off_unless_it_is_asked_for():
    assert [one.name for one in make_config(*TINY).task.metrics] == METRICS
    config = make_config(*TINY[:1], *TINY[2:])
    assert [one.name for one in config.task.metrics] == METRICS[:2]
    assert config.key == make_config(*TINY, "task.meteor=false").key


def test_values():
    pytest.importorskip("pycocoevalcap")
    if shutil.which("java") is None:
        pytest.skip("there is no java on the PATH")
    same = ("a", "red", "house", "near", "a", "tree")
    assert meteor({0: same}, [[same]]) == pytest.approx(1, abs=0.01)
    # Stems and synonyms count, the order does too, and nothing is right in nothing.
    near = meteor({0: ("a", "red", "home", "near", "some", "trees")}, [[same]])
    mixed = meteor({0: tuple(reversed(same))}, [[same]])
    assert 0.3 < near < 1
    assert 0.2 < mixed < near + 0.5 < 1.5
    assert meteor({0: ("snow",), 1: ()}, [[same], [same]]) < 0.1
