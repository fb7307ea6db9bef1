"""FixMatch, FlexMatch and Dash beside slow plain versions, and what is recorded of samples without a loss."""

import math

import pytest
import torch
from torch import nn

from bls_bench.tasks.objective import Place, StepBatch
from bls_bench.tasks.semisupervised.algorithms import Dash, FixMatch, FlexMatch, Unlabelled
from bls_bench.tasks.semisupervised.kinds import Tensors
from bls_bench.tasks.semisupervised.objective import Consistent
from bls_bench.tasks.semisupervised.streams import Seen

SAMPLES, CLASSES, STEPS = 24, 4, 3


class PlainFixMatch:
    threshold = 0.6

    def threshold_of(self, label):
        return self.threshold

    def __call__(self, probabilities, indices, epoch, losses):
        found = []
        for p in probabilities:
            label = p.index(max(p))
            one_hot = [float(c == label) for c in range(CLASSES)]
            found.append((max(p) >= self.threshold_of(label), one_hot))
        return found


class PlainFlexMatch(PlainFixMatch):
    threshold = 0.9

    def __init__(self):
        self.last = [None] * SAMPLES

    def threshold_of(self, label):
        counts = [self.before.count(c) for c in range(CLASSES)]
        beta = counts[label] / max(*counts, self.before.count(None))
        return self.threshold * beta / (2 - beta)

    def __call__(self, probabilities, indices, epoch, losses):
        self.before = list(self.last)
        for i, p in zip(indices, probabilities, strict=True):
            if max(p) >= self.threshold:
                self.last[i] = p.index(max(p))
        return super().__call__(probabilities, indices, epoch, losses)


class PlainDash:
    """A warm-up of two epochs, then thresholds that fall by 1.5 after every two, down to 0.4."""

    def __init__(self):
        self.seen = []

    def __call__(self, probabilities, indices, epoch, losses):
        if epoch < 2:
            self.seen += losses if epoch == 1 else []
            return [(False, None)] * len(probabilities)
        first = 1.0001 * sum(self.seen) / len(self.seen)
        threshold = max(0.4, first / 1.5 ** ((epoch - 2) // 2))
        found = []
        for p in probabilities:
            if threshold == 0.4:
                learnt = [float(c == p.index(max(p))) for c in range(CLASSES)]
            else:
                learnt = [q**2 / sum(r**2 for r in p) for q in p]
            found.append((-math.log(max(p)) <= threshold, learnt))
        return found


PAIRS = {
    "fixmatch": (lambda: FixMatch(0.6), PlainFixMatch),
    "flexmatch": (lambda: FlexMatch(0.9, SAMPLES, CLASSES), PlainFlexMatch),
    "dash": (lambda: Dash(2, 1.5, 2, 0.4), PlainDash),
}


def cross_entropy(logits, learnt):
    logs = [x - math.log(sum(math.exp(y) for y in logits)) for x in logits]
    return -sum(q * log for q, log in zip(learnt, logs, strict=True) if q)


@pytest.mark.parametrize("pruned", ["unlabelled", "labelled"])
@pytest.mark.parametrize("name", PAIRS)
def test_the_loss_is_that_of_the_slow_plain_version(name, pruned):
    make, plain = (part() for part in PAIRS[name])
    objective = Consistent(Tensors(), make, 0.5, pruned)
    torch.manual_seed(0)
    model, sures = nn.Identity(), []
    for epoch in range(8):
        order = torch.randperm(SAMPLES)
        for step in range(STEPS):
            scale = (0.3, 6.0, 1.0)[step]
            labelled, weak, strong = (
                torch.randn(n, CLASSES, dtype=torch.float64).mul(scale).float() for n in (5, 8, 8)
            )
            targets, indices = torch.randint(CLASSES, (5,)), order[8 * step : 8 * step + 8]
            streams = {
                "labelled": Seen(torch.arange(5), targets, labelled, None),
                "unlabelled": Seen(indices, torch.zeros(8, dtype=torch.long), weak, strong),
            }
            batch = StepBatch(streams.pop(pruned), streams)
            loss = objective.loss(model, batch, Place(0, epoch, step), frozenset())
            supervised = [
                cross_entropy(row, [float(c == t) for c in range(CLASSES)])
                for row, t in zip(labelled.tolist(), targets.tolist(), strict=True)
            ]
            probabilities = weak.softmax(1).tolist()
            found = plain(probabilities, indices.tolist(), epoch, supervised)
            expected = [
                0.5 * cross_entropy(row, learnt) if sure else 0.0
                for row, (sure, learnt) in zip(strong.tolist(), found, strict=True)
            ]
            sures += [sure for sure, _ in found]
            own, beside = loss.value, loss.beside
            if pruned == "labelled":
                assert loss.counted is None
                assert own.tolist() == pytest.approx(supervised, rel=1e-4, abs=1e-6)
                assert float(beside) == pytest.approx(sum(expected) / 8, rel=1e-4, abs=1e-6)
            else:
                assert loss.counted.tolist() == [sure for sure, _ in found]
                assert own.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)
                assert float(beside) == pytest.approx(sum(supervised) / 5, rel=1e-4)
            assert float(loss.parts["confident"]) == pytest.approx(sum(s for s, _ in found) / 8)
    assert 0.05 < sum(sures) / len(sures) < 0.95


def test_all_parts_of_a_step_have_the_thresholds_of_its_first():
    algorithm, none = FlexMatch(0.6, SAMPLES, CLASSES), torch.zeros(0)
    algorithm.classes[:12] = torch.arange(12) % CLASSES
    sure = Unlabelled(torch.arange(12, 20), torch.eye(CLASSES)[:1].repeat(8, 1))
    thresholds = []
    for place in (Place(0, 0, 0), Place(0, 0, 0, part=1), Place(0, 0, 1)):
        algorithm(sure, none, place)
        thresholds.append(algorithm.thresholds.tolist())
    assert thresholds[0] == thresholds[1] != thresholds[2]


@pytest.mark.parametrize("alone", [0, 2])
def test_flexmatch_counts_every_guess_from_the_first_step_unless_labels_go_first(alone):
    algorithm, none = FlexMatch(0.9, SAMPLES, CLASSES, alone), torch.zeros(0)
    guesses = Unlabelled(torch.arange(SAMPLES), torch.full((SAMPLES, CLASSES), 1 / CLASSES))
    certain = Unlabelled(torch.arange(SAMPLES), torch.eye(CLASSES).repeat(SAMPLES // CLASSES, 1))
    assert algorithm(guesses, none, Place(0, 0, 0))[0].all() == (alone == 0)
    # Who is sure is noted all the same: after the labels' epochs a guess is not enough.
    sure, _ = algorithm(certain, none, Place(0, 1, 0))
    assert sure.all() == sure.any() == (alone == 0)
    assert algorithm(certain, none, Place(0, 2, 0))[0].all()
    assert not algorithm(guesses, none, Place(0, 2, 1))[0].any()


def test_gradients_reach_the_strong_view_of_the_sure_alone():
    objective = Consistent(Tensors(), FixMatch(0.6), 1.0, "unlabelled")
    weak = torch.tensor([[5.0, 0, 0, 0], [0.1, 0, 0, 0]], requires_grad=True)
    strong = torch.zeros(2, CLASSES, requires_grad=True)
    labelled = torch.zeros(1, CLASSES, requires_grad=True)
    seen = Seen(torch.arange(2), torch.zeros(2, dtype=torch.long), weak, strong)
    own = Seen(torch.arange(1), torch.zeros(1, dtype=torch.long), labelled, None)
    batch = StepBatch(seen, {"labelled": own})
    loss = objective.loss(nn.Identity(), batch, Place(0, 0, 0), frozenset())
    (loss.value.mean() + loss.beside).backward()
    assert not weak.grad.any()
    assert strong.grad[0].any()
    assert not strong.grad[1].any()
    assert labelled.grad.any()
