import math

import pytest
import torch

from bls_bench.pruning import signals
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.scorers.entropy import Entropy
from bls_bench.pruning.scorers.gradient_norm import GradientNorm
from bls_bench.pruning.scorers.per_sample import PerSampleLoss

from .helpers import make_state, run_epoch, skewed_losses

pytestmark = pytest.mark.pruning

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(40, 5, generator=GENERATOR) * 2
TARGETS = torch.randint(5, (40,), generator=GENERATOR)
FEATURES = torch.randn(40, 7, generator=GENERATOR)


def by_hand(name, logits, target, features):
    p = [math.exp(x) for x in logits.tolist()]
    p = [x / sum(p) for x in p]
    error = [x - (k == target) for k, x in enumerate(p)]
    norm = math.sqrt(sum(x * x for x in error))
    first, second = sorted(p)[-1], sorted(p)[-2]
    return {
        "error_norm": norm,
        "gradient_norm": norm * math.sqrt(sum(x * x for x in features.tolist())),
        "entropy": -sum(x * math.log(x) for x in p),
        "margin": 1 - (first - second),
        "lead": p[target] - max(x for k, x in enumerate(p) if k != target),
        "probabilities": p,
        "correct": float(p.index(first) == target),
        "classes": float(target),
    }[name]


@pytest.mark.parametrize("name", signals.SIGNALS)
def test_against_a_straightforward_computation(name):
    ours = signals.SIGNALS[name](LOGITS, TARGETS, FEATURES)
    plain = [by_hand(name, *row) for row in zip(LOGITS, TARGETS.tolist(), FEATURES, strict=True)]
    torch.testing.assert_close(ours, torch.tensor(plain))


def test_the_gradient_norm_is_that_of_the_last_layer():
    weight = torch.randn(5, 7, generator=GENERATOR, requires_grad=True)
    logits = FEATURES @ weight.T
    ours = signals.gradient_norm(logits.detach(), TARGETS, FEATURES)
    for i in range(5):
        loss = torch.nn.functional.cross_entropy(logits[i], TARGETS[i])
        (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
        torch.testing.assert_close(ours[i], gradient.norm())


def test_scores_are_the_last_signals():
    losses = skewed_losses(100)
    state = make_state(NoPruning(), Entropy(), n=100)
    run_epoch(state, losses)
    torch.testing.assert_close(state.scores, losses**2)


@pytest.mark.parametrize(
    ("scorer", "signal", "error", "message"),
    [
        (GradientNorm(), None, TypeError, "GradientNorm scores by gradient_norm: none was recorded"),
        (PerSampleLoss(), torch.ones(3), TypeError, "PerSampleLoss scores by the loss alone: one was"),
        (GradientNorm(), torch.ones(2), ValueError, "expected 3 signals, one a sample"),
    ],
)
def test_a_signal_is_recorded_if_and_only_if_the_scorer_asks(scorer, signal, error, message):
    state = make_state(NoPruning(), scorer, n=3)
    state.begin_epoch()
    with pytest.raises(error, match=message):
        state.record(torch.arange(3), torch.ones(3), signal)


def test_a_signal_that_is_not_finite_leaves_the_scores():
    state = make_state(NoPruning(), Entropy(), n=3)
    state.begin_epoch()
    state.record(torch.arange(3), torch.ones(3), torch.tensor([1.0, torch.nan, 1.0]))
    with pytest.raises(ValueError, match="the entropy of a sample is not finite in epoch 0"):
        state.end_epoch()
    assert state.scores.isnan().all()
