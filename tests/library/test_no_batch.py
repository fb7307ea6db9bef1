"""Epochs that make no batch: refused, since they would come again for ever."""

import pytest
import torch
from torch.utils.data import BatchSampler

from bls_bench import DataLoader, InfoBatch

from .helpers import Planted, loader_of, train

pytestmark = pytest.mark.pruning

SHORT = "drop_last leaves none of the {0} samples of epoch {1}: lower batch_size to at most {0}"


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_shorter_than_a_batch_is_refused(workers):
    handler = InfoBatch(Planted(1000), 20)
    kwargs = {"persistent_workers": True} if workers else {}
    loader = loader_of(handler, batch_size=768, drop_last=True, num_workers=workers, **kwargs)
    train(handler, loader, epochs=2)
    left = len(handler.sampler)
    assert handler.epoch == 2
    assert left < 768
    for _ in range(2):
        with pytest.raises(ValueError, match=SHORT.format(left, 2)):
            next(iter(loader))
    train(handler, loader_of(handler, batch_size=left, drop_last=True))
    assert handler.epoch == 3


def test_one_of_a_batch_sampler_is_refused_too():
    handler = InfoBatch(Planted(20), 5)
    batches = BatchSampler(handler.sampler, 32, drop_last=True)
    loader = DataLoader(handler, batch_sampler=batches, generator=torch.Generator())
    with pytest.raises(ValueError, match=SHORT.format(20, 0)):
        next(iter(loader))


def test_what_a_resumed_epoch_has_left_may_be_less_than_a_batch():
    """It is dropped, as it would have been without the break."""
    handler = InfoBatch(Planted(40), 5)
    for _, losses in loader_of(handler, torch.utils.data.DataLoader, drop_last=True):
        handler.update(losses)
    resumed = InfoBatch(Planted(40), 5)
    resumed.load_state_dict(handler.state_dict())
    assert (resumed.epoch, len(resumed.sampler)) == (0, 8)
    loader = loader_of(resumed, drop_last=True)
    assert list(loader) == []
    assert resumed.epoch == 1
    train(resumed, loader)
    assert resumed.epoch == 2
