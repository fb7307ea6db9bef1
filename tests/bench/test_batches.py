"""Both sides make the same batches; that one is faster than the other is no law."""

import pytest
import torch

from bls_bench.bench.batches import Batches

FEW = torch.tensor([3, 0, 7])


def both(bench):
    """Return the batch of a few samples as the engine makes it and as the plain side does."""
    (ours,) = bench.data.train.batches([FEW], 0, torch.device("cpu"))
    return ours, bench.collate([bench.read(index) for index in FEW.tolist()])


@pytest.fixture(scope="module")
def texts():
    return Batches("task=text", "dataset.size=50", "trainer.batch_size=16")


def test_texts_are_padded_alike(texts):
    ours, plain = both(texts)
    assert ours.keys() == plain.keys()
    assert all(torch.equal(ours[name], plain[name]) for name in ours)


def test_sounds_have_the_same_bands():
    bench = Batches("task=audio", "dataset.size=10", "dataset.shift=false")
    (waves, labels), (bands, classes) = both(bench)
    assert torch.equal(bench.bands(waves), bands)
    assert torch.equal(labels, classes)


def test_an_epoch_has_every_sample_once(texts):
    labels = [
        torch.cat([batch["labels"] for batch in side]).sort()[0] for side in (texts.ours(), texts.plain())
    ]
    assert torch.equal(*labels)
    assert torch.equal(labels[0], texts.data.train.columns["labels"].sort()[0])
    assert texts.ratio() > 0
