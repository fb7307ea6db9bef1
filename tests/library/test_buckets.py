"""Batches of like lengths: the same samples an epoch, less padding, and a resume that gets what was left."""

import itertools

import pytest
import torch

from bls_bench import DataLoader, InfoBatch, RePB
from bls_bench.pruning.lengths import POOL
from bls_bench.pruning.library.buckets import LengthBuckets

from .helpers import HANDLERS, Planted, bls, planted, train

pytestmark = pytest.mark.pruning

N, BATCH = 1203, 8  # more than one pool
LENGTHS = torch.randint(1, 500, (N,), generator=torch.Generator().manual_seed(0))


def bucketed(handler, **kwargs):
    batches = LengthBuckets(handler, LENGTHS, BATCH)
    return DataLoader(handler, batch_sampler=batches, generator=torch.Generator(), **kwargs)


def test_an_epoch_has_the_same_samples_in_batches_of_like_lengths():
    handler, plain = InfoBatch(Planted(N), 3), InfoBatch(Planted(N), 3)
    for _ in range(3):
        loader = bucketed(handler)
        length = len(loader)
        [batches] = train(handler, loader)
        order = plain.state.begin_epoch().indices
        plain.state.record(order, planted(N)[order])
        plain.state.end_epoch()
        assert len(batches) == length == -(-len(order) // BATCH)
        assert torch.equal(torch.cat(batches).sort().values, order.sort().values)
        spread = torch.stack([LENGTHS[batch].max() - LENGTHS[batch].min() for batch in batches]).float()
        assert spread.median() < 500 / POOL * 1.5
        starts = torch.stack([LENGTHS[batch].max() for batch in batches])
        assert not torch.equal(starts, starts.sort(descending=True).values)
    assert torch.equal(handler.scores, planted(N))


@pytest.mark.parametrize("stop", [1, 60, 149])
def test_a_resume_gets_the_batches_that_were_left(stop):
    whole, handler = (RePB(Planted(N), 3) for _ in range(2))
    [expected] = train(whole, bucketed(whole))
    seen = []
    for indices, losses in itertools.islice(bucketed(handler), stop):
        handler.update(losses)
        seen.append(indices)
    resumed = RePB(Planted(N), 3)
    resumed.load_state_dict(handler.state_dict())
    assert len(bucketed(resumed)) == len(expected) - stop
    seen += train(resumed, bucketed(resumed))[0]
    assert [batch.tolist() for batch in seen] == [batch.tolist() for batch in expected]
    assert resumed.epoch == 1
    assert torch.equal(resumed.scores, whole.scores)


@pytest.mark.parametrize("cls", HANDLERS)
@pytest.mark.parametrize("wrap", [lambda handler: handler, bls])
def test_every_handler_through_workers_and_a_batch_sampler(cls, wrap):
    handler = wrap(cls(Planted(N), 3))
    seen = train(handler, bucketed(handler, num_workers=2, persistent_workers=True), 2)
    assert handler.epoch == 2
    expected = None
    for indices in itertools.chain(*seen):
        own = planted(N)[indices]
        if handler.state.scorer.per_sample:
            expected = torch.full((N,), torch.nan) if expected is None else expected
            expected[indices] = own
        else:
            alpha = handler.state.scorer.alpha
            # RandomPruning, at alpha 0, has no score of a sample before its first batch.
            start = float(own.mean()) if alpha else torch.nan
            expected = torch.full((N,), start) if expected is None else expected
            expected[indices] = alpha * expected[indices].nan_to_num() + (1 - alpha) * own.mean()
    torch.testing.assert_close(handler.scores, expected, equal_nan=True)


@pytest.mark.slow
def test_spawned_workers_under_bls():
    handler = bls(RePB(Planted(N), 3), alpha=0)
    [batches] = train(handler, bucketed(handler, num_workers=2, multiprocessing_context="spawn"))
    for indices in batches:
        torch.testing.assert_close(handler.scores[indices], planted(N)[indices].mean().expand(len(indices)))


def test_one_length_a_sample():
    with pytest.raises(ValueError, match=r"expected 1203 lengths, one a sample, got \(3,\)"):
        LengthBuckets(InfoBatch(Planted(N), 3), [1, 2, 3], BATCH)
