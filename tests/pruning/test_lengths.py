"""Batches of like length: the same samples and weights, the batches' own order, less padding."""

import pytest
import torch

from bls_bench.pruning.lengths import POOL, by_length
from bls_bench.pruning.selection import Selection

BATCH = 4


def arranged(count, weights=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 100, (2 * count,), generator=generator)
    indices = torch.randperm(2 * count, generator=generator)[:count]
    selection = Selection(indices, torch.rand(count, generator=generator) if weights else None, 0.5)
    return selection, by_length(lengths, BATCH, selection, generator), lengths


def padding(selection, lengths):
    """How many places of an epoch's padded batches hold nothing."""
    batches = lengths[selection.indices].split(BATCH)
    return sum(int(batch.max()) * len(batch) - int(batch.sum()) for batch in batches)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 2 * POOL * BATCH + 3])
@pytest.mark.parametrize("weights", [True, False])
def test_every_sample_keeps_its_weight(count, weights):
    before, after, _ = arranged(count, weights)
    assert after.prune_ratio == before.prune_ratio
    assert sorted(after.indices.tolist()) == sorted(before.indices.tolist())
    if weights:
        of = dict(zip(before.indices.tolist(), before.weights.tolist(), strict=True))
        assert [of[index] for index in after.indices.tolist()] == after.weights.tolist()
    else:
        assert after.weights is None


def test_there_is_less_padding_and_the_batches_come_in_random_order():
    before, after, lengths = arranged(2 * POOL * BATCH)
    assert padding(after, lengths) < 0.2 * padding(before, lengths)
    firsts = lengths[after.indices][::BATCH][:POOL]
    assert 0.3 * POOL < int((firsts.diff() > 0).sum()) < 0.7 * POOL


def test_a_batch_is_of_one_pool():
    before, after, _ = arranged(3 * POOL * BATCH)
    place = {index: at // (POOL * BATCH) for at, index in enumerate(before.indices.tolist())}
    for batch in after.indices.split(BATCH):
        assert len({place[index] for index in batch.tolist()}) == 1
