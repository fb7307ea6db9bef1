"""HuBERT on ESC-50: composed, built, and steps on a few sounds in the published layout."""

import torch

from bls_bench.tasks.audio.data import Sounds

from ..running import make_config, train
from .helpers import write_esc50


def test_hubert(tmp_path):
    data = tmp_path / "data"
    write_esc50(data, rate=44100)
    whole = ("experiment=esc50_hubert", f"dataset.root={data}")
    config = make_config(*whole)
    with torch.device("meta"):
        model = config.model.build(Sounds(16000, 80000, tuple(map(str, range(50)))))
    assert 80e6 < sum(weights.numel() for weights in model.parameters()) < 110e6
    small = (
        "model.layers=1",
        "model.width=48",
        "trainer.epochs=1",
        "trainer.batch_size=25",
        "dataset.seconds=0.1",
    )
    result, _, _ = train(tmp_path, *whole, *small, "pruner=none")
    assert result["samples_trained"] == 50
