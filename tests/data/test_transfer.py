"""Batches come to the device in order, whatever they are made of."""

import torch

from bls_bench.data.transfer import to_device
from tests.helpers import CPU

from .helpers import random_images


def test_batches_reach_the_device_in_order():
    batches = list(random_images(3).split(1))
    assert all(torch.equal(a, b) for a, b in zip(to_device(batches, CPU), batches, strict=True))
    assert [batch.device.type for batch in to_device(batches, torch.device("meta"))] == ["meta"] * 3
