"""BLEU-4 and CIDEr-D of cases that are worked out by hand."""

import math

import pytest

from bls_bench.tasks.captioning.metrics import CIDEr, bleu, grams


def said(*captions):
    return dict(enumerate(caption.split() for caption in captions))


def references(*pictures):
    return [[caption.split() for caption in captions] for captions in pictures]


def test_grams_are_counted():
    assert grams(["a", "b", "a", "b"], 2) == {("a", "b"): 2, ("b", "a"): 1}
    assert not grams(["a"], 2)


def test_what_people_said_has_all_of_bleu():
    assert bleu(said("a b c d e"), references(["x y", "a b c d e"])) == pytest.approx(1)


def test_bleu_by_hand():
    # Of 5, 4, 3 and 2 grams 4, 3, 2 and 1 are right; it is no shorter than its reference.
    value = bleu(said("a b c d x"), references(["a b c d e"]))
    assert value == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    # Over all pictures together, not a mean of pictures: 8, 7, 6, 5 more right ones.
    value = bleu(said("a b c d x", "p q r s t u v w"), references(["a b c d e"], ["p q r s t u v w"]))
    assert value == pytest.approx((12 / 13 * 10 / 11 * 8 / 9 * 6 / 7) ** 0.25)


def test_a_word_counts_no_more_often_than_a_reference_has_it():
    value = bleu(said("a b c d a a"), references(["a b c d", "a a b"]))
    # Words: a twice of three, b, c, d; pairs: a b, b c, c d, a a; d a is none.
    assert value == pytest.approx((5 / 6 * 4 / 5 * 2 / 4 * 1 / 3) ** 0.25)


def test_short_captions_are_punished_by_the_closest_length():
    # 4 words, references of 6 and of 9.
    value = bleu(said("a b c d"), references(["a b c d e f", "a b c d e f g h i"]))
    assert value == pytest.approx(math.exp(1 - 6 / 4))
    # As far from 3 as from 5: the shorter is wanted, so nothing is too short.
    assert bleu(said("a b c d"), references(["a b c", "a b c d e"])) == pytest.approx(1)


def test_nothing_right_is_nothing():
    assert bleu(said("a b c"), references(["a b c"])) == 0  # no four words
    assert bleu(said(""), references(["a b c"])) == 0
    assert CIDEr(references(["a b c"], ["d"])).of([], 0) == 0


def test_cider_of_what_people_said():
    cider = CIDEr(references(["a b c d e"], ["f g h i j"]))
    assert cider.of(["a", "b", "c", "d", "e"], 0) == pytest.approx(10)
    assert cider.of(["f", "g", "h", "i", "j"], 0) == 0


def test_cider_by_hand():
    # "a" is in both pictures' references, and so tells nothing: its weight is 0; the others weigh log 2.
    cider = CIDEr(references(["a b"], ["a c"]))
    # Words: [b, x] beside [b], a cosine of 1 / sqrt 2. Pairs: [b x] beside [a b], none alike. Two words each.
    assert cider.of(["b", "x"], 0) == pytest.approx(10 * (1 / math.sqrt(2)) / 4)
    # A third word: lengths differ by one. b twice weighs no more in the product than once.
    value = 10 * math.exp(-1 / (2 * 36)) * (1 / 2 + 0 + 0 + 0) / 4
    assert cider.of(["b", "b", "a"], 0) == pytest.approx(value + 0.0)
    assert cider.mean({0: ["b", "x"], 1: ["b"]}) == pytest.approx(cider.of(["b", "x"], 0) / 2)


def test_cider_is_the_mean_over_references():
    alone = CIDEr(references(["a b c d"], ["e"]))
    two = CIDEr(references(["a b c d", "p q r s"], ["e"]))
    assert two.of(["a", "b", "c", "d"], 0) == pytest.approx(alone.of(["a", "b", "c", "d"], 0) / 2)
