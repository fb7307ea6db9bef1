"""HuBERT on ESC-50: composed, built, and steps on a few sounds in the published layout."""

import numpy as np
import soundfile
import torch

from bls_bench.tasks.audio.data import Sounds

from ..running import make_config, train


def test_hubert(tmp_path):
    data = tmp_path / "data"
    (data / "meta").mkdir(parents=True)
    (data / "audio").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for kind in range(50):
        for fold in (1, 2):
            name = f"{fold}-{kind}-A.wav"
            soundfile.write(data / "audio" / name, 0.1 * np.sin(np.arange(2000) * (kind + 1) / 100), 44100)
            rows.append(f"{name},{fold},{kind},kind{kind},False,{kind},A")
    (data / "meta" / "esc50.csv").write_text("\n".join(rows))
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
