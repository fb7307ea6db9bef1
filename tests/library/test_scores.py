"""What a handler keeps as a score: a copy for the user, of float32 losses, on the CPU."""

import pytest
import torch

from bls_bench import InfoBatch

from .helpers import Planted, bls, loader_of, train

pytestmark = pytest.mark.pruning

N = 203


def test_scores_that_were_taken_do_not_change():
    handler = InfoBatch(Planted(N), 5)
    train(handler, loader_of(handler))
    taken = handler.scores
    kept = taken.clone()
    for _, losses in loader_of(handler):
        handler.update(losses * 2)
    assert torch.equal(taken, kept)
    assert not torch.equal(handler.scores, kept)
    handler.scores.fill_(7)
    assert not (handler.scores == 7).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
def test_the_mean_of_losses_is_kept_in_float32(dtype, masked):
    """What is returned is what the mean loss would give."""
    handler, expected = bls(InfoBatch(Planted(N), 5), alpha=0), torch.zeros(N)
    for indices, losses in loader_of(handler):
        losses = losses.to(dtype)
        mask = losses > 0 if masked else None
        returned, own = handler.update(losses, mask=mask), handler.weighted(losses.mean())
        assert (returned.dtype, returned) == (own.dtype, own)
        expected[indices] = losses.mean(dtype=None if dtype == torch.float64 else torch.float32).float()
    assert torch.equal(handler.scores, expected)
