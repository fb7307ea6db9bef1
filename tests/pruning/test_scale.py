"""An epoch of ImageNet's length is selected and shared out without a Python loop over samples."""

import time

import pytest
import torch

from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.seta import SeTaPruner
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.state import PruningState

IMAGENET = 1_281_167


@pytest.mark.parametrize(
    "pruner", [InfoBatchPruner(), SeTaPruner(), RePBPruner()], ids=lambda p: type(p).__name__
)
def test_an_epoch_of_imagenet(pruner):
    state = PruningState(IMAGENET, 10, pruner, BatchLossScore(alpha=0.7), seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        # Seconds of this process, so that a busy machine does not count; a loop over samples takes tens.
        started = time.process_time()
        selection = state.begin_epoch()
        shards = [list(selection.shard(rank, 8).batches(128)) for rank in range(8)]
        for batch in selection.batches(1024):
            state.record(batch.indices, torch.rand((), generator=generator))
        state.end_epoch()
        assert time.process_time() - started < 8
        assert {len(batches) for batches in shards} == {-(-(len(selection) // 8) // 128)}
        together = torch.cat([batch.indices for batches in shards for batch in batches])
        assert len(together) == len(selection) // 8 * 8
        assert len(together.unique()) == len(together)
