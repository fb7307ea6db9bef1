import math

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from bls_bench.optim import Constant, Cosine, OneCycle, Optimizer


@pytest.mark.parametrize("pct_start", [0.3, 0.1])
def test_onecycle_is_torchs(pct_start):
    total = 1000
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = OneCycleLR(optimizer, max_lr=1.0, total_steps=total, pct_start=pct_start, cycle_momentum=False)
    ours = OneCycle(pct_start=pct_start)
    # torch peaks at step pct_start * total - 1, one step early: they differ by less than the steepest step.
    steepest = math.pi / 2 / (pct_start * total)
    for step in range(total):
        assert abs(ours.factor(step / total) - theirs.get_last_lr()[0]) < steepest
        optimizer.step()
        theirs.step()


def test_onecycle_ends():
    schedule = OneCycle(pct_start=0.25, div_factor=10, final_div_factor=100)
    assert schedule.factor(0) == pytest.approx(0.1)
    assert schedule.factor(0.25) == pytest.approx(1)
    assert schedule.factor(1) == pytest.approx(0.001)
    assert max(schedule.factor(p / 1000) for p in range(1001)) <= 1


def test_cosine_with_warm_up():
    schedule = Cosine(warmup=0.2, start=0.1, final=0.05)
    assert schedule.factor(0) == pytest.approx(0.1)
    assert schedule.factor(0.1) == pytest.approx(0.55)
    assert schedule.factor(0.2) == pytest.approx(1)
    assert schedule.factor(0.6) == pytest.approx((1 + 0.05) / 2)
    assert schedule.factor(1) == pytest.approx(0.05)


def test_constant():
    assert {Constant().factor(p / 10) for p in range(11)} == {1.0}


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars", "lamb"])
def test_decay_falls_on_every_parameter_and_a_step_changes_them(name):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    optimizer = Optimizer(name=name, lr=0.1, weight_decay=0.5).build(model)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.5}
    before = [p.clone() for p in model.parameters()]
    model(torch.randn(8, 3)).square().sum().backward()
    optimizer.step()
    assert all(
        not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True) if old.any()
    )


def test_sgd_is_plain_momentum():
    weight = torch.nn.Parameter(torch.ones(1))
    holder = torch.nn.Module()
    holder.weight = weight
    optimizer = Optimizer(name="sgd", lr=0.1, momentum=0.9).build(holder)
    expected, velocity = 1.0, 0.0
    for _ in range(4):
        weight.grad = torch.full((1,), 2.0)
        optimizer.step()
        velocity = 0.9 * velocity + 2.0
        expected -= 0.1 * velocity
        assert float(weight.detach()) == pytest.approx(expected)
