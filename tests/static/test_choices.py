"""Each static method against a slow, plain version, and the laws of every choice."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from bls_bench.pruning.pruner import Epoch
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.state import PruningState
from bls_bench.static.methods.proxy_topk import ProxyTopK
from bls_bench.static.methods.static_contextual_diversity import ContextualDiversity
from bls_bench.static.methods.static_craig import Craig, facility_location, gradient_similarity
from bls_bench.static.methods.static_deepfool import OVERSHOOT, DeepFool, deepfool
from bls_bench.static.methods.static_dp import DatasetPruning
from bls_bench.static.methods.static_el2n import EL2N
from bls_bench.static.methods.static_entropy import Entropy
from bls_bench.static.methods.static_forgetting import Forgetting
from bls_bench.static.methods.static_glister import STEP, Glister, glister
from bls_bench.static.methods.static_grand import GraNd
from bls_bench.static.methods.static_herding import Herding, herding
from bls_bench.static.methods.static_influence import Influence
from bls_bench.static.methods.static_kcenter import KCenter
from bls_bench.static.methods.static_least_confidence import LeastConfidence
from bls_bench.static.methods.static_margin import Margin
from bls_bench.static.methods.static_random import StaticRandom
from bls_bench.static.methods.static_tdds import TDDS
from bls_bench.static.pruner import apportioned

from .helpers import STATIC, chosen, generator, observations, plain_gradients, probabilities

pytestmark = pytest.mark.pruning


@pytest.mark.parametrize("method", STATIC)
class TestEveryMethod:
    def test_keeps_the_wanted_number_once_each_and_the_same_in_every_epoch(self, method):
        observed = observations()
        pruner = method(target=0.3, allow_empty_class=True)
        pruner.choose(observed, generator())
        state = PruningState(60, 4, pruner, PerSampleLoss(), seed=0)
        orders = []
        for _ in range(2):
            selection = state.begin_epoch()
            orders.append(selection.indices)
            assert sorted(selection.indices.tolist()) == sorted(set(pruner._chosen.tolist()))
            assert len(selection) == 42
            if selection.weights is not None:
                assert float(selection.weights.mean()) == pytest.approx(1)
            for batch in selection.batches(8):
                state.record(batch.indices, torch.ones(len(batch.indices)))
            state.end_epoch()
        assert not torch.equal(*orders)
        assert state.pruned_percent == pytest.approx(30)

    def test_a_resumed_run_has_the_same_samples_weights_and_cost(self, method, tmp_path):
        pruner = method(target=0.5, allow_empty_class=True)
        pruner.choose(observations(), generator())
        pruner.cost = {"scoring_samples": 7, "scoring_seconds": 0.5}
        torch.save(pruner.state_dict(), tmp_path / "state.pt")
        again = method(target=0.5, allow_empty_class=True)
        assert not again.chosen
        again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        epoch = [Epoch(0, 4, torch.zeros(60), torch.zeros(60), generator(3)) for _ in range(2)]
        first, second = pruner.select(epoch[0]), again.select(epoch[1])
        assert torch.equal(first.indices, second.indices)
        assert (first.weights is None) == (second.weights is None)
        assert first.weights is None or torch.equal(first.weights, second.weights)
        assert again.cost == pruner.cost

    def test_balanced_keeps_the_share_of_every_class(self, method):
        observed = observations()
        kept = observed.targets[chosen(method(target=0.5, balanced=True), observed)].bincount(minlength=4)
        assert (kept - observed.targets.bincount() / 2).abs().max() < 1

    def test_nothing_chosen_nothing_trained(self, method):
        with pytest.raises(ValueError, match=f"{method.__name__} needs its scoring run first"):
            PruningState(60, 4, method(), PerSampleLoss(), seed=0).begin_epoch()


@pytest.mark.parametrize(
    "method", [EL2N, GraNd, Margin, DeepFool, Herding, Glister, Influence, DatasetPruning, TDDS]
)
def test_the_order_of_the_samples_does_not_matter(method):
    observed, order = observations(n=40), torch.randperm(40, generator=generator(5))
    first = set(chosen(method(target=0.5, allow_empty_class=True), observed).tolist())
    again = chosen(method(target=0.5, allow_empty_class=True), observed.at(order))
    assert first == set(order[again].tolist())


def uneven(changes, window, decay):
    """TDDS of one sample: window after window from the first, each weighed down by those after it."""
    score = 0.0
    for first in range(len(changes) - window + 2):
        part = changes[first : first + window - 1]
        mean = sum(part) / len(part)
        score = (1 - decay) * score + decay * math.sqrt(sum((x - mean) ** 2 for x in part))
    return score


def by_hand(name, observed, i):
    p, target = probabilities(observed)[i], int(observed.targets[i])
    ranked, noted = sorted(p), observed.history[:, i].tolist()
    history = [x > 0.5 for x in noted]
    events = sum(a and not b for a, b in itertools.pairwise(history))
    return {
        EL2N: math.sqrt(sum((x - (k == target)) ** 2 for k, x in enumerate(p))),
        GraNd: float(plain_gradients(observed)[i].norm()),
        Forgetting: events if any(history) else len(history),
        LeastConfidence: 1 - ranked[-1],
        Margin: 1 - (ranked[-1] - ranked[-2]),
        Entropy: -sum(x * math.log(x) for x in p),
        ProxyTopK: -math.log(p[target]),
        DeepFool: -float(observed.probed[i]),
        TDDS: uneven(noted[1:], window=5, decay=0.9),
    }[name]


@pytest.mark.parametrize(
    "method", [EL2N, GraNd, Forgetting, LeastConfidence, Margin, Entropy, ProxyTopK, DeepFool, TDDS]
)
@pytest.mark.parametrize("balanced", [False, True])
def test_rankings_keep_the_highest_scores(method, balanced):
    observed = observations()
    scores = torch.tensor([by_hand(method, observed, i) for i in range(60)]).float()
    torch.testing.assert_close(method().score(observed), scores, atol=1e-5, rtol=1e-5)
    kept = torch.zeros(60, dtype=torch.bool)
    kept[chosen(method(target=0.4, balanced=balanced), observed)] = True
    for label in range(4) if balanced else [None]:
        group = torch.ones(60, dtype=torch.bool) if label is None else observed.targets == label
        assert scores[group & kept].min() >= scores[group & ~kept].max() - 1e-6


def test_herding_against_trying_every_sample():
    features = observations().features.double()
    ours, taken = herding(features.float(), 20).tolist(), []
    for _ in range(20):
        gaps = {
            i: float((features.mean(0) - features[[*taken, i]].mean(0)).norm())
            for i in range(60)
            if i not in taken
        }
        taken.append(min(gaps, key=gaps.get))
    assert ours == taken


@pytest.mark.parametrize("method", [KCenter, ContextualDiversity])
def test_farthest_first_against_all_distances(method):
    observed = observations()
    if method is KCenter:
        distances = torch.cdist(observed.features, observed.features)
    else:
        p = observed.logits.softmax(1)
        kl = torch.stack([(row * (row / p).log()).sum(1) for row in p])
        distances = (kl + kl.T) / 2
    ours = method().pick(observed, 15, generator())[0].tolist()
    for length in range(1, 15):
        nearest = distances[ours[:length]].min(0).values
        nearest[ours[:length]] = -1
        assert nearest[ours[length]] == pytest.approx(float(nearest.max()), rel=1e-4)
    assert len({method().pick(observed, 1, generator(seed))[0].item() for seed in range(30)}) > 10


def test_duplicates_are_chosen_once_each():
    observed = observations().at(torch.zeros(12, dtype=torch.int64))
    for method in (KCenter, ContextualDiversity, Craig):
        assert sorted(chosen(method(target=0.0), observed).tolist()) == list(range(12))


def test_gradient_factors_are_the_last_layers_gradients():
    observed = observations()
    left, right = observed.gradients()
    layer = torch.randn(4, 7, generator=generator(), requires_grad=True)
    logits = right @ layer.T
    moved = (
        observations()
        .__class__(observed.targets, 4, logits.detach(), observed.features, observed.history)
        .gradients()
    )
    for i in range(5):
        loss = F.cross_entropy(logits[i], observed.targets[i])
        (gradient,) = torch.autograd.grad(loss, layer, retain_graph=True)
        torch.testing.assert_close(torch.outer(moved[0][i], moved[1][i]), gradient)
    outer = (left[:, :, None] * right[:, None]).flatten(1).double()
    torch.testing.assert_close(outer, plain_gradients(observed), atol=1e-5, rtol=1e-5)


def test_craig_against_trying_every_sample():
    observed = observations(n=40)
    rows = plain_gradients(observed)
    distances = torch.cdist(rows, rows)
    similarity = distances.max() - distances
    ours = gradient_similarity(*observed.gradients())
    torch.testing.assert_close(ours.double(), similarity, atol=1e-3, rtol=1e-3)
    taken = []
    for _ in range(15):
        values = {j: float(ours[[*taken, j]].amax(0).double().sum()) for j in range(40) if j not in taken}
        taken.append(max(values, key=values.get))
    assert facility_location(ours, 15).tolist() == taken
    picked, weights = Craig().pick(observed, 15, generator())
    assert picked.tolist() == taken
    nearest = [int(ours[taken, i].argmax()) for i in range(40)]
    assert weights.tolist() == pytest.approx([nearest.count(k) * 15 / 40 for k in range(15)])


def test_craig_counts_a_sample_for_all_that_are_equally_near():
    """Of six samples there are two each; nine kept are both of three at least."""
    twice = torch.arange(6).repeat(2)
    picked, weights = Craig().pick(observations(n=6).at(twice), 9, generator())
    assert (weights > 0).all()
    assert float(weights.mean()) == pytest.approx(1)
    kept = twice[picked]
    for sample in range(6):
        both = weights[kept == sample]
        assert both.tolist() == pytest.approx([2 * 9 / 12 / len(both)] * len(both))


def test_glister_against_whole_gradients():
    observed = observations(n=50)
    rows = plain_gradients(observed)
    right = torch.cat([observed.features, torch.ones(50, 1)], 1).double()
    labels = F.one_hot(observed.targets, 4)
    taken, errors = [], observed.logits.double().softmax(1) - labels
    while len(taken) < 25:
        ahead = torch.stack([torch.outer(e, h).flatten() for e, h in zip(errors, right, strict=True)]).mean(0)
        gains = rows @ ahead
        gains[taken] = -torch.inf
        taken += gains.topk(2 if len(taken) < 24 else 1).indices.tolist()
        step = rows[taken].mean(0).view(4, 7)
        errors = (observed.logits - STEP * right @ step.T).softmax(1) - labels
    assert set(glister(observed, 25, generator()).tolist()) == set(taken)


def test_deepfool_is_exact_for_a_linear_model():
    weight = torch.randn(5, 8, generator=generator()).double()
    inputs = torch.randn(20, 2, 4, generator=generator(1)).double()
    found = deepfool(lambda x: x.flatten(1) @ weight.T, inputs, 50).flatten(1).norm(dim=1)
    for x, distance in zip(inputs.flatten(1), found.tolist(), strict=True):
        logits = weight @ x
        top = int(logits.argmax())
        exact = min(
            float((logits[top] - logits[k]) / (weight[top] - weight[k]).norm()) for k in range(5) if k != top
        )
        assert distance == pytest.approx(exact, rel=1e-3, abs=1e-4)


def test_deepfool_changes_the_prediction_of_a_network():
    draw = generator(2)
    first, second = torch.randn(16, 6, generator=draw), torch.randn(3, 16, generator=draw)
    inputs = torch.randn(30, 6, generator=draw)

    def model(x):
        return (x @ first.T).tanh() @ second.T

    steps = deepfool(model, inputs, 50)
    assert (model(inputs + (1 + OVERSHOOT) * steps).argmax(1) != model(inputs).argmax(1)).all()
    # Half the way is not enough: the steps lead to the boundary, not somewhere beyond it.
    short = model(inputs + steps / 2).argmax(1) == model(inputs).argmax(1)
    assert short.float().mean() > 0.9
    torch.testing.assert_close(steps[:5], torch.cat([deepfool(model, x[None], 50) for x in inputs[:5]]))
    torch.testing.assert_close(DeepFool().probe(model, (inputs, None)), steps.norm(dim=1))


def test_an_empty_class_is_refused_unless_allowed():
    observed = observations()
    rare = int((observed.targets == 0).count_nonzero())
    assert rare < 12
    with pytest.raises(
        ValueError,
        match=r"EL2N leaves class . without a single sample .*, set balanced=true, or allow it with",
    ):
        chosen(EL2N(target=0.97), observed)
    assert len(chosen(EL2N(target=0.97, allow_empty_class=True), observed)) == 2
    with pytest.raises(
        ValueError, match=r"lower target=0.97, or allow it with allow_empty_class=true"
    ):  # balanced already
        chosen(StaticRandom(target=0.97, balanced=True), observed)
    chosen(StaticRandom(target=0.8, balanced=True), observed)


def test_a_class_that_has_no_sample_to_begin_with_is_none_left_empty():
    observed = observations()
    without = observed.at((observed.targets > 0).nonzero().squeeze(1))
    assert len(chosen(StaticRandom(balanced=True), without)) == 29 == math.ceil(len(without) / 2)


@pytest.mark.parametrize(
    ("sizes", "total"), [([3, 5, 2], 5), ([1, 1, 1], 2), ([0, 7], 3), ([4, 4], 8), ([9], 0)]
)
def test_quotas_sum_to_the_total_and_follow_the_sizes(sizes, total):
    quotas = apportioned(sizes, total)
    assert sum(quotas) == total
    for size, quota in zip(sizes, quotas, strict=True):
        assert abs(quota - total * size / sum(sizes)) < 1
        assert quota <= size


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (EL2N, {"target": 1}, r"target must be in \[0, 1\)"),
        (EL2N, {"scoring_epochs": 0}, "scoring_epochs must be at least 1"),
        (Forgetting, {"scoring_epochs": 1}, "scoring_epochs must be at least 2"),
        (DeepFool, {"max_steps": 0}, "max_steps must be at least 1"),
        (ProxyTopK, {"proxy": ""}, "proxy must be resnet20 or"),
        (TDDS, {"window": 2}, "window must be at least 3 epochs, of which 2 changes differ, got 2"),
        (TDDS, {"scoring_epochs": 4}, "window=5 must be at most scoring_epochs=4"),
        (TDDS, {"decay": 0}, r"decay must be in \(0, 1\], got 0"),
    ],
)
def test_bad_settings(method, settings, message):
    with pytest.raises(ValueError, match=message):
        method(**settings)
