"""What a trace keeps is what the state of pruning knew after each epoch."""

import numpy as np
import pytest
import torch

from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.state import PruningState
from bls_bench.pruning.trace import Trace

N = 101


def run(state, trace, epochs):
    """Train some epochs on losses of 0 to 1; returns the scores after each."""
    found = []
    for _ in range(epochs):
        selection = state.begin_epoch()
        for batch in selection.batches(16):
            generator = torch.Generator().manual_seed(state.epoch)
            state.record(batch.indices, torch.rand(N, generator=generator)[batch.indices])
        trace.note(state.end_epoch(), state.scores)
        found.append(state.scores.clone())
    return found


def begun():
    return PruningState(N, 6, InfoBatchPruner(), PerSampleLoss(), 0), Trace(N)


def test_it_keeps_who_was_trained_on_and_all_scores():
    state, trace = begun()
    scores = run(state, trace, 6)
    history = trace.history()
    kept = np.stack([history.kept_in(epoch) for epoch in range(6)])
    assert kept.sum(0).tolist() == state.counts.tolist()
    assert 0 < kept[1:5].sum() < 4 * N
    for found, expected in zip(history.scores, scores, strict=True):
        assert found == pytest.approx(expected.numpy(), rel=1e-3)


def test_a_resumed_one_is_that_of_a_whole_run(tmp_path):
    whole_state, whole = begun()
    run(whole_state, whole, 6)
    state, trace = begun()
    run(state, trace, 4)
    torch.save([state.state_dict(), trace.state_dict()], tmp_path / "saved.pt")
    saved = torch.load(tmp_path / "saved.pt", weights_only=True)
    state, trace = begun()
    state.load_state_dict(saved[0])
    trace.load_state_dict(saved[1])
    run(state, trace, 2)
    assert np.array_equal(trace.history().kept, whole.history().kept)
    assert np.array_equal(trace.history().scores, whole.history().scores, equal_nan=True)


def test_a_score_beyond_float16_is_cut_and_none_stays_none():
    state, trace = begun()
    state.begin_epoch()
    state.record(torch.arange(N), torch.rand(N))
    trace.note(state.end_epoch(), torch.tensor([1e9, -1e9, torch.nan] + [0.5] * (N - 3)))
    (found,) = trace.history().scores
    assert found[:2].tolist() == [65504, -65504]
    assert np.isnan(found[2])


def test_before_an_epoch_has_ended_there_is_nothing_to_see():
    with pytest.raises(ValueError, match="before an epoch has ended"):
        Trace(N).history()
