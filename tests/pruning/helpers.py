"""The rows that the tests of every pruner and every scorer run over, and a run on simulated losses."""

from functools import partial

import pytest
import torch

from bls_bench.pruning.pruners.epsilon_greedy import EpsilonGreedyPruner
from bls_bench.pruning.pruners.importance import ImportancePruner
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.repb_importance import RePBImportancePruner
from bls_bench.pruning.pruners.rs2 import RS2Pruner
from bls_bench.pruning.pruners.selective_backprop import SelectiveBackpropPruner
from bls_bench.pruning.pruners.seta import SeTaPruner
from bls_bench.pruning.pruners.ucb import UCBPruner
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.bls_centered import BLSCentered
from bls_bench.pruning.scorers.gradient_norm import GradientNorm
from bls_bench.pruning.scorers.kalman import KalmanScore
from bls_bench.pruning.scorers.kalman_classes import KalmanClassesScore
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.scorers.random import RandomScore
from bls_bench.pruning.scorers.random_per_sample import RandomPerSampleScore
from bls_bench.pruning.scorers.rarity import RarityScore
from bls_bench.pruning.scorers.residual import ResidualScore
from bls_bench.pruning.scorers.stale import StaleScore
from bls_bench.pruning.scorers.time_corrected import TimeCorrectedLoss
from bls_bench.pruning.state import PruningState

PRUNERS = [
    pytest.param(NoPruning, id="none"),
    pytest.param(RandomPruner, id="random"),
    pytest.param(RS2Pruner, id="rs2"),
    pytest.param(InfoBatchPruner, id="infobatch"),
    pytest.param(lambda: InfoBatchPruner(variant="quantile"), id="infobatch_quantile"),
    pytest.param(lambda: InfoBatchPruner(exact_count=True), id="infobatch_exact"),
    pytest.param(lambda: InfoBatchPruner(prune="above"), id="infobatch_above"),
    pytest.param(lambda: InfoBatchPruner(prune="random"), id="infobatch_random"),
    pytest.param(SeTaPruner, id="seta"),
    pytest.param(lambda: SeTaPruner(window_scale=0.4, anneal="full"), id="seta_narrow"),
    pytest.param(RePBPruner, id="repb"),
    pytest.param(lambda: RePBPruner(window=3, rescale=False), id="repb_window"),
    pytest.param(lambda: RePBPruner(window_pruning=False), id="repb_global"),
    pytest.param(EpsilonGreedyPruner, id="epsilon_greedy"),
    pytest.param(UCBPruner, id="ucb"),
    pytest.param(SelectiveBackpropPruner, id="selective_backprop"),
    pytest.param(ImportancePruner, id="importance"),
    pytest.param(lambda: RePBImportancePruner(window=3), id="repb_importance"),
    pytest.param(lambda: InfoBatchPruner(target=0.7), id="infobatch_target"),
    pytest.param(lambda: SeTaPruner(target=0.5), id="seta_target"),
    pytest.param(lambda: RePBPruner(target=0.6), id="repb_target"),
]
# The pruners that can be sent to a target, with settings under which 80% of ten epochs can be pruned.
RATED = [
    pytest.param(RandomPruner, id="random"),
    pytest.param(RS2Pruner, id="rs2"),
    pytest.param(partial(InfoBatchPruner, delta=0.95), id="infobatch"),
    pytest.param(partial(InfoBatchPruner, delta=0.95, variant="quantile"), id="infobatch_quantile"),
    pytest.param(partial(InfoBatchPruner, delta=0.95, prune="above"), id="infobatch_above"),
    pytest.param(partial(InfoBatchPruner, prune="random", anneal=False), id="infobatch_random"),
    pytest.param(partial(InfoBatchPruner, delta=0.95, rescale=False), id="infobatch_plain"),
    pytest.param(SeTaPruner, id="seta"),
    pytest.param(partial(SeTaPruner, window_scale=0.3, delta=0.95, anneal="full"), id="seta_narrow"),
    pytest.param(RePBPruner, id="repb"),
    pytest.param(partial(RePBPruner, window=3, rescale=False), id="repb_window"),
    pytest.param(partial(RePBPruner, resample=False), id="repb_for_good"),
    pytest.param(EpsilonGreedyPruner, id="epsilon_greedy"),
    pytest.param(UCBPruner, id="ucb"),
    pytest.param(SelectiveBackpropPruner, id="selective_backprop"),
    pytest.param(ImportancePruner, id="importance"),
    pytest.param(RePBImportancePruner, id="repb_importance"),
    pytest.param(partial(RePBImportancePruner, resample=False), id="repb_importance_for_good"),
]
SCORERS = [
    pytest.param(PerSampleLoss, id="per_sample"),
    pytest.param(BatchLossScore, id="bls"),
    pytest.param(lambda: BatchLossScore(alpha=0), id="no_ema"),
    pytest.param(lambda: BatchLossScore(init="zero"), id="bls_zero"),
    pytest.param(lambda: BatchLossScore(init="bias_corrected"), id="bls_bias_corrected"),
    pytest.param(RandomScore, id="random"),
    pytest.param(RandomPerSampleScore, id="random_per_sample"),
    pytest.param(StaleScore, id="stale"),
    pytest.param(RarityScore, id="rarity"),
    pytest.param(KalmanScore, id="kalman"),
    pytest.param(lambda: KalmanScore(memory=3, noise=0.5), id="kalman_noise"),
    pytest.param(KalmanClassesScore, id="kalman_classes"),
    pytest.param(BLSCentered, id="bls_centered"),
    pytest.param(ResidualScore, id="residual"),
    pytest.param(GradientNorm, id="signal"),
    pytest.param(TimeCorrectedLoss, id="time_corrected"),
]


def run_epoch(state, losses, batch_size=32, drop_last=False):
    """Train one epoch on fixed `losses` (N,); returns its selection and its visits."""
    selection = state.begin_epoch()
    for batch in selection.batches(batch_size, drop_last):
        record(state, batch.indices, losses)
    return selection, state.end_epoch()


def record(state, indices, losses):
    """Record a batch as the scorer wants it; the signal of a sample is the square of its loss."""
    own = losses[indices]
    signal = None if state.scorer.signal is None else own**2
    state.record(indices, own if state.scorer.per_sample else own.mean(), signal)


def make_state(pruner, scorer=None, n=1000, epochs=10, seed=0):
    return PruningState(n, epochs, pruner, scorer or PerSampleLoss(), seed)


def skewed_losses(n, seed=0):
    """Losses as training has them: positive, many small, a long tail."""
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)).pow(4) * 3 + 0.01
