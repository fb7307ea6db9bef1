"""Influences against the whole Hessian, and what is left out by them."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from bls_bench.static.influence import DAMPING, influences
from bls_bench.static.methods.static_dp import DatasetPruning, cancelling
from bls_bench.static.methods.static_influence import Influence

from .helpers import chosen, generator, observations, plain_gradients

pytestmark = pytest.mark.pruning


def confident(margin, wrong=0):
    """Observations with predictions so many classes off the target, the surer the larger the margin."""
    observed = observations(classes=4)
    return replace(observed, logits=observed.logits + margin * F.one_hot((observed.targets + wrong) % 4, 4))


def whole(left, right):
    return (left[:, :, None] * right[:, None]).flatten(1).double()


@pytest.mark.parametrize("margin", [0, 8, 16])
def test_influences_are_those_of_the_whole_damped_hessian(margin):
    observed = confident(margin)
    p, right = observed.logits.double().softmax(1), observed.gradients()[1].double()
    outputs = sum(row.diag() - torch.outer(row, row) for row in p) / 60
    inputs = sum(torch.outer(row, row) for row in right) / 60
    damped = [m + DAMPING * m.trace() / len(m) * torch.eye(len(m)) for m in (outputs, inputs)]
    expected = torch.linalg.solve(torch.kron(*damped), plain_gradients(observed).T).T
    torch.testing.assert_close(whole(*influences(observed)), expected, atol=1e-3, rtol=1e-3)
    kept = chosen(Influence(target=0.5, allow_empty_class=True), observed)
    assert set(kept.tolist()) == set(expected.norm(dim=1).topk(30).indices.tolist())


@pytest.mark.parametrize("margin", [40, 200])
@pytest.mark.parametrize("wrong", [0, 1])
def test_certain_predictions_have_influences_too(margin, wrong):
    """By a margin of 200 float32 probabilities are 0 and 1, and the Hessian is zero."""
    observed = confident(margin, wrong)
    assert whole(*influences(observed)).square().sum(1).float().isfinite().all()
    for method in (Influence, DatasetPruning):
        assert len(chosen(method(target=0.5, allow_empty_class=True), observed)) == 30


def test_what_dataset_pruning_leaves_out_cancels():
    left, right = influences(observations())
    rows = whole(left, right)
    ours, taken = cancelling(left, right, 30).tolist(), []
    for _ in range(30):
        norms = {i: float(rows[[*taken, i]].sum(0).norm()) for i in range(60) if i not in taken}
        taken.append(min(norms, key=norms.get))
    assert ours == taken
    drawn = [rows[torch.randperm(60, generator=generator(seed))[:30]].sum(0).norm() for seed in range(50)]
    assert rows[ours].sum(0).norm() < min(drawn)
