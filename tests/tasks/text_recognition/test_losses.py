"""Losses and readings of words, beside slow plain versions."""

from itertools import groupby, product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bls_bench.data.columns import Ragged
from bls_bench.system.errors import InputError
from bls_bench.tasks.objective import Place
from bls_bench.tasks.text_recognition.data import Alphabet, Words, frames_of
from bls_bench.tasks.text_recognition.models import CTCNetwork, PositionAttention
from bls_bench.tasks.text_recognition.objective import WordAccuracy
from bls_bench.tasks.text_recognition.reading import Alignments, Places, right

from ..running import make_engine
from .helpers import TINY

CPU = torch.device("cpu")
WORDS = [[1], [2, 2], [1, 2, 1]]
ragged = Ragged.of([torch.tensor(word) for word in WORDS])
rows = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=7), min_size=1, max_size=5)


def collapsed(told):
    """Take repeats together, then leave out gaps."""
    return [letter for letter, _ in groupby(told) if letter]


def as_words(table):
    return [[letter for letter in row if letter] for row in table.tolist()]


def logits_of(table, kinds=4):
    """Return logits whose largest are those that a table of rows of one length tells."""
    return F.one_hot(torch.tensor(table), kinds).float()


def test_the_loss_of_alignments_is_the_sum_over_all_of_them():
    logits = torch.randn(len(WORDS), 5, 3, dtype=torch.float64)
    chances = logits.softmax(2)
    expected = []
    for chance, word in zip(chances, WORDS, strict=True):
        total = sum(
            torch.stack([chance[frame, letter] for frame, letter in enumerate(told)]).prod()
            for told in product(range(3), repeat=5)
            if collapsed(told) == word
        )
        expected.append(-total.log() / len(word))
    losses = Alignments(5).losses(logits, ragged)
    torch.testing.assert_close(losses, torch.stack(expected))
    lengths = ragged.lengths
    whole = F.ctc_loss(
        logits.log_softmax(2).transpose(0, 1), ragged.values, torch.full_like(lengths, 5), lengths
    )
    torch.testing.assert_close(Alignments(5).batch_loss(logits, ragged), whole)


def test_the_loss_of_places_is_the_cross_entropy_of_letters_and_end():
    logits = torch.randn(len(WORDS), 5, 3, dtype=torch.float64)
    chances, each, every = logits.log_softmax(2), [], []
    for chance, word in zip(chances, WORDS, strict=True):
        terms = [-chance[place, letter] for place, letter in enumerate([*word, 0])]
        each.append(sum(terms) / len(terms))
        every += terms
    torch.testing.assert_close(Places().losses(logits, ragged), torch.stack(each))
    torch.testing.assert_close(Places().batch_loss(logits, ragged), torch.stack(every).mean())


@settings(max_examples=40)
@given(rows)
def test_alignments_are_read_by_taking_repeats_together(told):
    width = max(map(len, told))
    table = [row + [0] * (width - len(row)) for row in told]
    read = Alignments(width).read(logits_of(table))
    expected = [collapsed(row) for row in table]
    assert as_words(read) == expected
    for row, word in zip(read.tolist(), expected, strict=True):
        assert row[: len(word)] == word  # nothing but zeros behind it
    assert right(read, Ragged.of([torch.tensor(word, dtype=torch.int64) for word in expected])).all()


@settings(max_examples=40)
@given(rows)
def test_places_are_read_up_to_the_end(told):
    width = max(map(len, told))
    table = [row + [0] * (width - len(row)) for row in told]
    expected = [row[: row.index(0)] if 0 in row else row for row in table]
    assert as_words(Places().read(logits_of(table))) == expected


def test_a_word_is_right_if_every_letter_is():
    words = Ragged.of([torch.tensor(word) for word in ([1, 2], [1, 2], [1, 2], [3], [1, 2, 3])])
    letters = torch.tensor([[1, 2], [1, 3], [1, 0], [3, 0], [1, 2]])
    assert right(letters, words).tolist() == [True, False, False, True, False]
    assert right(F.pad(letters, (0, 4)), words).tolist() == [True, False, False, True, False]


def test_frames_are_letters_and_gaps_between_equal_neighbours():
    # The last letter of a word and the first of the next are no neighbours.
    words = [[1], [1, 1], [2, 2, 2], [2, 1, 2], [3, 3, 1, 1]]
    counts = frames_of(Ragged.of([torch.tensor(word) for word in words])).tolist()
    assert counts == [1, 3, 5, 3, 6]


def test_texts_are_filtered_as_the_papers_filter_them():
    small, both = Alphabet("abc1"), Alphabet("abcABC1")
    assert list(small.numbers("A-b c!1ä")) == [1, 2, 3, 4]
    assert list(both.numbers("A-b c!1ä")) == [4, 2, 3, 7]
    info = Words(32, 96, "abcABC1", 5, 5)
    assert info.text(torch.tensor([4, 2, 3, 7, 0])) == "Abc1"


class Told(torch.nn.Module):
    """Gives the images as logits."""

    def forward(self, images):
        return images


def test_accuracies_are_of_all_words_and_of_each_set():
    from bls_bench.tasks.text_recognition.data import WordBatch

    states = []
    for tables, words, sets in (
        ([[1, 0], [2, 0]], [[1], [2]], [0, 1]),
        ([[1, 2], [2, 0], [3, 3]], [[1, 2], [1], [3]], [1, 1, 1]),
    ):
        measure = WordAccuracy(Places(), ["a/one", "a/two"])
        truth = Ragged.of([torch.tensor(word) for word in words])
        measure.update(Told(), WordBatch(logits_of(tables), truth, torch.tensor(sets)))
        states.append(measure.state())
    measure.merge(states)
    expected = {"word_accuracy": 60.0, "word_accuracy_one": 100.0, "word_accuracy_two": 50.0}
    assert measure.compute() == pytest.approx(expected)


@pytest.mark.parametrize("model", ["ctc", "position_attention"])
@pytest.mark.parametrize("per_sample", [True, False])
def test_the_objective_gives_a_loss_a_word_or_a_batch(model, per_sample):
    engine = make_engine(
        *TINY, f"model={model}", f"task.per_sample={per_sample}", "scorer=bls", "model.dropout=0"
    )
    network, objective = engine.learner.model.module, engine.learner.objective
    batch = next(engine.data.train.batches([torch.arange(6)], 0, CPU))
    loss = objective.loss(network, batch, Place(0, 0, 0), frozenset()).value
    logits = network(batch.images)
    expected = network.reading.losses(logits, batch.words)
    if per_sample:
        torch.testing.assert_close(loss, expected)
    else:
        torch.testing.assert_close(loss, network.reading.batch_loss(logits, batch.words))
    # A loss looks at no other word.
    alone = next(engine.data.train.batches([torch.tensor([3])], 0, CPU))
    torch.testing.assert_close(network.reading.losses(network(alone.images), alone.words)[0], expected[3])


def test_networks_have_a_frame_of_four_pixels_or_a_place_for_each_letter():
    info = Words(30, 50, "0123456789", 6, 7)
    images = torch.rand(2, 3, 30, 50)
    network = CTCNetwork(width=32, hidden=8).build(info)
    assert network(images).shape == (2, 13, 11)
    assert network.reading.frames == 13
    assert PositionAttention(width=32).build(info)(images).shape == (2, 7, 11)


def test_words_that_take_more_frames_than_there_are_are_refused():
    with pytest.raises(InputError, match=r"a training word takes \d frames, and the model gives 4 for data"):
        make_engine(*TINY, "dataset.width=16", "dataset.digits=6")
