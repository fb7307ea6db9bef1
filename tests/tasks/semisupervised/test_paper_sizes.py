"""The experiments of paper size: composed, and three steps on a few samples in the files' own format."""

import torch

from bls_bench.data.base import Images

from ..audio.helpers import write_esc50
from ..classification.test_datasets import write_cifar
from ..running import make_config, train

SMALL = ("trainer.steps=3", "trainer.batch_size=4", "task.labels=1", "pruner=bls_infobatch")


def test_fixmatch_on_cifar(tmp_path, monkeypatch):
    write_cifar(tmp_path / "data", "cifar100", monkeypatch)
    whole = ("experiment=cifar100_fixmatch", f"dataset.root={tmp_path / 'data'}")
    config = make_config(*whole)
    assert (config.trainer.epochs, config.trainer.steps) == (None, 204800)
    with torch.device("meta"):
        model = config.model.build(Images(3, 32, tuple(map(str, range(100)))))
    assert 18e6 < sum(weights.numel() for weights in model.parameters()) < 25e6
    result, _, _ = train(tmp_path, *whole, *SMALL, "model.name=test_vit")
    assert result["steps"] == 3


def test_flexmatch_on_yelp(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.csv", "test.csv"):
        (data / name).write_text("".join(f'"{label}","so so"\n' for label in (1, 2, 3, 4, 5)))
    small = ("model.layers=1", "model.width=24", "task.max_length=16", "dataset.vocabulary=300")
    result, lines, _ = train(tmp_path, "experiment=yelp_flexmatch", f"dataset.root={data}", *SMALL, *small)
    assert result["steps"] == 3
    assert all("loss_confident" in line for line in lines)


def test_dash_on_esc50(tmp_path):
    data = tmp_path / "data"
    write_esc50(data, rate=16000)
    small = ("model.layers=1", "model.width=48", "dataset.seconds=0.1")
    result, _, _ = train(tmp_path, "experiment=esc50_dash", f"dataset.root={data}", *SMALL, *small)
    assert result["steps"] == 3
