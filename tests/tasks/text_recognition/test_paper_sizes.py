"""The experiment of paper size: composed, built, and two steps on a few words in the format of the files."""

import pytest
import torch

from bls_bench.tasks.text_recognition.data import Words

from ..running import make_config, train
from .test_data import database


def test_attention_on_mj_and_st(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    data = tmp_path / "data"
    whole = ("experiment=mjst_attention", f"dataset.root={data}")
    config = make_config(*whole)
    for name in (*config.dataset.train, *config.dataset.benchmarks):
        database(data / name, ["one", "Two"], lmdb)
    with torch.device("meta"):
        model = config.model.build(Words(32, 128, config.dataset.alphabet, 25, 26))
    assert 15e6 < sum(weights.numel() for weights in model.parameters()) < 30e6
    small = ("model.width=32", "model.layers=1", "trainer.epochs=1", "trainer.batch_size=4", "pruner=none")
    result, (line,), _ = train(tmp_path, *whole, *small, "dataset.workers=0")
    assert result["samples_trained"] == 8
    names = [name for name in line if name.startswith("word_accuracy_")]
    assert len(names) == 6
    assert "word_accuracy_IC15_1811" in names
