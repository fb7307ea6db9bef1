"""Both sides see the same images; that one is faster than the other is no law."""

import pytest
import torch

from bls_bench.bench.detection import DetectionBench, Transformed

TINY = ("dataset.images=32", "trainer.batch_size=8")


@pytest.fixture(scope="module")
def bench():
    return DetectionBench(TINY, epochs=1)


def test_the_plain_side_has_every_image_with_boxes_inside_it(bench):
    train = bench.engine.data.train
    samples = Transformed(train)
    assert len(samples) == len(train)
    for image, target in (samples[index] for index in range(8)):
        assert image.dtype == torch.float32
        assert 0 <= image.min() <= image.max() <= 1
        assert len(target["boxes"]) == len(target["labels"])
        assert ((target["boxes"] >= 0) & (target["boxes"] <= image.shape[-1])).all()


def test_ratios_are_of_whole_epochs(bench):
    assert bench.input_ratio() > 0
    epoch, steps = bench.epoch_ratios()
    assert 0 < steps < epoch
    assert bench.engine.state.epoch == 1
