"""A long tail, wrong labels and copies: the same in every run, and told in the key."""

import pytest
import torch

from bls_bench.data.classes import COPIED, long_tail, mislabelled
from bls_bench.system.errors import InputError
from bls_bench.tasks.classification.digits import Digits
from tests.helpers import TINY, make_config


def test_a_long_tail_has_the_ratio_and_falls_evenly():
    targets = torch.arange(5).repeat(200)
    sizes = targets[long_tail(targets, 16)].bincount().tolist()
    assert sizes == [200, 100, 50, 25, 12]


def test_a_tail_longer_than_the_classes_is_refused():
    with pytest.raises(InputError, match=r"dataset.imbalance must be at most 20, .* got 30"):
        long_tail(torch.arange(5).repeat(20), 30)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_wrong_labels_are_as_many_as_asked_for_and_of_any_other_class(share):
    targets = torch.arange(4).repeat(500)
    wrong = mislabelled(targets, share)
    changed = wrong != targets
    assert int(changed.count_nonzero()) == round(share * 2000)
    shift = (wrong - targets)[changed] % 4
    counts = shift.bincount(minlength=4)
    assert counts[0] == 0
    assert counts[1:].min() > 0.25 * changed.count_nonzero()


def test_a_fifth_of_the_samples_occurs_as_often_as_asked_for():
    targets = torch.arange(10).repeat(30)
    kept, labels = Digits(duplicates=4).arranged(targets)
    counts = kept.bincount()
    assert int((counts == 4).count_nonzero()) == round(COPIED * 300)
    assert int((counts == 1).count_nonzero()) == 300 - round(COPIED * 300)
    assert torch.equal(labels, targets[kept])


def test_copies_have_the_label_of_their_original():
    kept, labels = Digits(duplicates=3, label_noise=0.4).arranged(torch.arange(10).repeat(30))
    pairs = set(zip(kept.tolist(), labels.tolist(), strict=True))
    assert len(pairs) == len(kept.unique())


def test_the_run_seed_changes_nothing_of_it():
    dataset = Digits(imbalance=5, label_noise=0.2, duplicates=2)
    one, other = dataset.load(0), dataset.load(1)
    assert torch.equal(one.targets, other.targets)
    assert torch.equal(one.train.images, other.train.images)


def test_a_hard_cluster_stands_on_its_side_and_is_half_of_the_test():
    plain, turned = Digits().load(0), Digits(hard_cluster=0.1).load(0)
    changed = (plain.train.images != turned.train.images).flatten(1).any(1)
    assert torch.equal(turned.train.images[changed], plain.train.images[changed].rot90(dims=(2, 3)))
    assert int(changed.count_nonzero()) == pytest.approx(0.1 * len(plain.train), abs=3)
    half = len(plain.test)
    assert torch.equal(turned.test.images[:half], plain.test.images)
    assert torch.equal(turned.test.images[half:], plain.test.images.rot90(dims=(2, 3)))
    assert torch.equal(turned.test.targets, plain.test.targets.repeat(2))


@pytest.mark.parametrize("more", ["imbalance=3", "label_noise=0.1", "duplicates=2", "hard_cluster=0.1"])
def test_it_is_in_the_key_and_neutral_values_are_not(more):
    plain = make_config(*TINY)
    assert make_config(*TINY, f"dataset.{more}").key != plain.key
    neutral = {"imbalance": "1", "label_noise": "0", "duplicates": "1", "hard_cluster": "0"}
    name = more.partition("=")[0]
    assert make_config(*TINY, f"dataset.{name}={neutral[name]}").key == plain.key
