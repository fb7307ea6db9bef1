"""What a handler keeps as a score: a copy for the user, of float32 losses, on the CPU."""

import pytest
import torch

from bls_bench import InfoBatch

from .helpers import Planted, loader_of, train

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
