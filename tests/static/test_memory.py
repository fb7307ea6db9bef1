"""What is said to be needed is what is needed."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from bls_bench.static import influence, pruner, ranking
from bls_bench.static.methods import static_craig
from bls_bench.static.methods.static_contextual_diversity import ContextualDiversity
from bls_bench.static.methods.static_craig import Craig
from bls_bench.static.methods.static_dp import DatasetPruning
from bls_bench.static.methods.static_herding import Herding
from bls_bench.static.methods.static_kcenter import KCenter
from bls_bench.static.methods.static_random import StaticRandom

from .helpers import STATIC, chosen, generator, observations

pytestmark = pytest.mark.pruning


def peak(action):
    """Return the bytes of tensors that are alive at most while `action` runs, beside those there were."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        action()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        most = max(most, live)
    return most


@pytest.fixture
def announced(monkeypatch):
    """The bytes that methods have said they need, the last one last; nothing is refused."""
    said = []
    for module in (pruner, static_craig):
        monkeypatch.setattr(module, "shortage", lambda needed, free, what: said.append(needed))
    return said


@pytest.mark.parametrize("method", [each for each in STATIC if each.values[0] not in (StaticRandom, Craig)])
def test_a_method_takes_what_it_says(method, announced, monkeypatch):
    """Whether the outputs are what takes the memory, or the features."""
    for module in (ranking, influence):
        monkeypatch.setattr(module, "BLOCK", 64)
    # The greedy ones need the same in each of their steps.
    few = method in (Herding, KCenter, ContextualDiversity)
    target = 0.98 if few else 0.02 if method is DatasetPruning else 0.5
    chooser, ratios = method(target=target, balanced=False, allow_empty_class=True), []
    for classes, features in ((2, 50), (50, 2)):
        observed = observations(n=6000, classes=2, features=features)
        logits = torch.randn(6000, classes, generator=generator())
        observed = replace(observed, num_classes=classes, logits=logits)
        ratios.append(peak(partial(chosen, chooser, observed)) / announced[-1])
    assert 0.6 < max(ratios) < 1.1


def test_craig_takes_what_it_says(announced):
    observed = observations(n=700)
    most = peak(lambda: chosen(Craig(target=0.1, balanced=False), observed))
    assert 0.9 * announced[-1] < most < 1.1 * announced[-1]


@pytest.mark.parametrize(
    ("module", "what"),
    [
        (static_craig, "the distances between 60 samples"),
        (pruner, "Craig's copies of the features and outputs of 60"),
    ],
)
def test_too_large_for_memory_says_what_it_needs(module, what, monkeypatch):
    monkeypatch.setattr(module, "host_free", lambda: 2**8)
    with pytest.raises(ValueError, match=what + r".* need 0.0 GiB, and 0.0 GiB are free: take fewer samples"):
        chosen(Craig(balanced=False), observations())
