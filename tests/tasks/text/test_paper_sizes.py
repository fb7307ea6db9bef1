"""The experiments of paper size: composed, built, and two steps on a few texts in the files' own format."""

import pytest
import torch

from bls_bench.tasks.text.data import Texts

from ..running import make_config, train


@pytest.mark.parametrize(
    ("experiment", "fields"), [("agnews_bert", '"a title","a text"'), ("yelp_bert", '"so so"')]
)
def test_bert(experiment, fields, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.csv", "test.csv"):
        (data / name).write_text("".join(f'"{label}",{fields}\n' for label in (1, 2, 3, 4)))
    whole = (f"experiment={experiment}", f"dataset.root={data}")
    config = make_config(*whole)
    with torch.device("meta"):
        model = config.model.build(Texts(30000, 0, torch.tensor([5]), tuple("abcd")))
    assert 80e6 < sum(weights.numel() for weights in model.parameters()) < 120e6
    small = ("model.layers=1", "model.width=24", "trainer.epochs=1", "trainer.batch_size=2", "pruner=none")
    result, _, _ = train(tmp_path, *whole, *small)
    assert result["samples_trained"] == 4
