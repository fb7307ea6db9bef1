"""MixUp and CutMix: timm's mixtures from streams of our own, and the losses rebuilt from them."""

import numpy as np
import pytest
import torch
from timm.data import Mixup
from torch.nn import functional as F

from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.mixing import Mixing, rebuilt_losses
from bls_bench.tasks.classification.models import Classifier
from bls_bench.tasks.objective import Place
from tests.engine.helpers import Perceptron, fetched, last_record, learn, parts_of
from tests.helpers import make_engine

# The last batch of an epoch is odd: 99 = 16 * 6 + 3.
ODD = ("trainer.batch_size=6", "pruner=random", "pruner.prune_ratio=0.01")


def batch(count=8, classes=10):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    return images, torch.randint(classes, (count,), generator=generator)


def test_numbers_depend_on_seed_and_place_alone():
    mixing = Mixing(0.8, 1.0, 10)
    before = np.random.get_state()[1].copy()
    first = mixing(*batch(), Place(1, 3, 5))
    assert np.array_equal(before, np.random.get_state()[1])
    np.random.seed(5)
    again = Mixing(0.8, 1.0, 10)(*batch(), Place(1, 3, 5))
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    for place in (Place(2, 3, 5), Place(1, 4, 5), Place(1, 3, 6), Place(1, 3, 5, 1), Place(1, 3, 5, 0, 1)):
        assert not torch.equal(mixing(*batch(), place)[1], first[1])


def test_pairs_lie_mirrored_in_the_batch():
    images, labels = batch()
    mixed, targets = Mixing(1.0, 0.0, 10)(images.clone(), labels, Place(0, 0, 0))
    share = (mixed - images.flip(0))[0, 0, 0, 0] / (images - images.flip(0))[0, 0, 0, 0]
    torch.testing.assert_close(mixed, share * images + (1 - share) * images.flip(0))
    one_hot = F.one_hot(labels, 10).float()
    torch.testing.assert_close(targets, share * one_hot + (1 - share) * one_hot.flip(0))


def test_smoothing_of_mixed_targets_is_timms():
    images, labels = batch()
    logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(1))
    state = np.random.get_state()
    try:
        np.random.seed(0)
        smooth = Mixup(1.0, 0.0, label_smoothing=0.1, num_classes=10)(images.clone(), labels)[1]
        np.random.seed(0)
        hard = Mixup(1.0, 0.0, label_smoothing=0.0, num_classes=10)(images.clone(), labels)[1]
    finally:
        np.random.set_state(state)
    torch.testing.assert_close(
        F.cross_entropy(logits, hard, label_smoothing=0.1), F.cross_entropy(logits, smooth)
    )


def test_losses_are_rebuilt_from_both_mixtures():
    _, labels = batch()
    logits = torch.randn(8, 10, generator=torch.Generator().manual_seed(1))
    p = logits.softmax(1)
    expected = [-(p[i, y] + p[7 - i, y]).log() for i, y in enumerate(labels.tolist())]
    torch.testing.assert_close(rebuilt_losses(logits, labels), torch.stack(expected))


def test_perfect_mixtures_have_losses_of_zero():
    images, labels = torch.zeros(4, 1, 8, 8), torch.arange(4)
    _, targets = Mixing(1.0, 0.0, 10)(images, labels, Place(0, 0, 0))
    assert rebuilt_losses(targets.log(), labels).abs().max() < 1e-5


@pytest.mark.parametrize("scorer", ["per_sample", "bls"])
def test_per_sample_scorers_get_rebuilt_losses_and_bls_the_batch_loss(scorer, monkeypatch):
    monkeypatch.setattr(Classifier, "build", lambda *_: Perceptron())
    engine = make_engine("task.mixup=0.8", "task.cutmix=1.0", f"scorer={scorer}")
    given = engine._batches(engine.state.begin_epoch())[0]
    inputs, labels = fetched(engine, given)
    mixed, targets = engine.learner.objective.mixing(inputs, labels, Place(0, 0, 0))
    logits = engine.learner.model(mixed).detach()
    learn(engine, given)
    expected = rebuilt_losses(logits, labels)
    if scorer == "bls":
        expected = F.cross_entropy(logits.float(), targets, reduction="none")
    torch.testing.assert_close(last_record(engine)[1], expected)


def test_each_part_of_a_batch_is_mixed_within_itself(monkeypatch):
    monkeypatch.setattr(Classifier, "build", lambda *_: Perceptron())
    engine = make_engine("task.mixup=0.8", "task.cutmix=1.0", "trainer.accumulate=4")
    given = engine._batches(engine.state.begin_epoch())[0]
    parts, seen = list(parts_of(engine, given)), []
    mixing = engine.learner.objective.mixing
    expected = [mixing(*part, Place(0, 0, 0, 0, number))[0] for number, part in enumerate(parts)]
    engine.learner.model.module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    learn(engine, given)
    assert [len(part) for part in seen] == [8] * 4
    assert all(torch.equal(*pair) for pair in zip(seen, expected, strict=True))


def test_an_odd_last_batch_is_trained_on_as_it_is():
    engine = make_engine("task.mixup=1", *ODD)
    last = engine._batches(engine.state.begin_epoch())[-1]
    assert len(last.indices) == 3
    inputs, labels = fetched(engine, last)
    expected = F.cross_entropy(engine.learner.model(inputs), labels, reduction="none").detach()
    learn(engine, last)
    torch.testing.assert_close(last_record(engine)[1], expected)


@pytest.mark.parametrize("sizes", ["trainer.batch_size=33", "trainer.batch_size=34 trainer.accumulate=2"])
def test_an_odd_batch_size_is_refused(sizes):
    with pytest.raises(
        InputError,
        match="trainer.batch_size must give every process, and every part of trainer.accumulate, a multiple "
        "of 2 samples for this task as it is set, got 3[34]",
    ):
        make_engine("task.mixup=1", *sizes.split())
