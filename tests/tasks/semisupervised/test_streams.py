"""The two streams: what a step gets depends on its place in the run, not on what is pruned."""

import pytest
import torch

from bls_bench.system.errors import InputError

from ..running import make_config, make_engine
from .helpers import TEXTS, TINY

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data():
    return make_config(*TINY).load_data()


def test_the_labelled_are_so_many_of_each_class_and_the_unlabelled_are_all(data):
    labelled = data.beside["labelled"].pool
    assert labelled.chosen.unique().tolist() == labelled.chosen.tolist()
    assert data.targets[labelled.chosen].bincount().tolist() == [2] * 10
    assert len(data.train) == len(data.targets) == 100
    other = make_config(*TINY, "seed=1").load_data().beside["labelled"].pool.chosen
    assert not torch.equal(labelled.chosen, other)


def test_pruning_the_labelled_swaps_the_streams(data):
    other = make_config(*TINY, "task.prune=labelled", "trainer.batch_size=4").load_data()
    assert torch.equal(other.train.pool.chosen, data.beside["labelled"].pool.chosen)
    assert torch.equal(other.targets, data.targets[other.train.pool.chosen])
    assert (other.beside["unlabelled"].size, data.beside["labelled"].size) == (28, 4)


def test_a_pass_holds_no_sample_twice_and_each_pass_has_an_order_of_its_own(data):
    stream = data.beside["labelled"]
    passes = [torch.cat([stream.samples(0, 5 * turn + step) for step in range(5)]) for turn in range(2)]
    assert all(sorted(one.tolist()) == list(range(20)) for one in passes)
    assert not torch.equal(*passes)
    assert not torch.equal(stream.samples(0, 0), stream.samples(1, 0))


def test_a_pool_smaller_than_a_batch_is_repeated_within_it():
    stream = make_config(*TINY, "task.ratio=1").load_data().beside["labelled"]
    counts = stream.samples(0, 3).bincount(minlength=20)
    assert len(stream.samples(0, 3)) == 28
    assert set(counts.tolist()) == {1, 2}


def test_rows_of_a_step_are_those_of_its_whole_batch_wherever_one_begins(data):
    stream = data.beside["labelled"]
    whole = list(stream.batches([(step, torch.arange(4)) for step in range(8)], 2, CPU))
    rows = torch.tensor([1, 3])
    for step, part in zip((6, 7), stream.batches([(6, rows), (7, rows)], 2, CPU), strict=True):
        for one, other in zip(part[:3], whole[step][:3], strict=True):
            assert torch.equal(one, other[rows])
    assert whole[0].strong is None


def test_a_sample_is_seen_in_another_way_in_each_epoch_and_alike_in_any_batch(data):
    indices = torch.tensor([3, 60, 17])
    (one,), (again,) = (list(data.train.batches([indices], 1, CPU)) for _ in range(2))
    (alone,) = data.train.batches([indices[1:2]], 1, CPU)
    (later,) = data.train.batches([indices], 2, CPU)
    for view in ("weak", "strong"):
        seen = getattr(one, view)
        assert torch.equal(seen, getattr(again, view))
        assert torch.equal(seen[1:2], getattr(alone, view))
        assert not torch.equal(seen, getattr(later, view))
    assert not torch.equal(one.weak, one.strong)
    assert torch.equal(one.targets, data.targets[indices])
    assert torch.equal(one.indices, indices)


def seen_by(*overrides):
    """Return what steps get: by (epoch, step) of the stream beside, by (epoch, sample) of the other."""
    engine, beside, own = make_engine(*TINY, *overrides), {}, {}
    loss = engine.learner.objective.loss

    def noted(model, batch, place, wanted):
        ((_, other),) = batch.beside.items()
        beside[place.epoch, place.step, place.part] = other
        for index, view in zip(batch.own.indices.tolist(), batch.own.weak, strict=True):
            own[place.epoch, index] = view
        return loss(model, batch, place, wanted)

    engine.learner.objective.loss = noted
    for _ in range(engine.state.num_epochs):
        engine.epoch(None, _Never())
    return beside, own, engine.state.pruned_percent


class _Never:
    def received(self, *_):
        return False


@pytest.mark.parametrize("pruned", [(), ("task.prune=labelled", "trainer.batch_size=4")])
def test_pruning_one_stream_moves_nothing_in_the_other_nor_in_what_is_left(pruned):
    whole = seen_by("pruner=none", *pruned)
    part = seen_by("pruner=random", "pruner.prune_ratio=0.4", *pruned)
    assert part[2] == pytest.approx(40, abs=2)
    assert len(part[0]) < len(whole[0])
    for place, seen in part[0].items():
        assert torch.equal(seen.indices, whole[0][place].indices)
        assert torch.equal(seen.weak, whole[0][place].weak)
        assert seen.strong is None or torch.equal(seen.strong, whole[0][place].strong)
    assert all(torch.equal(view, whole[1][place]) for place, view in part[1].items())


def test_parts_of_a_step_share_the_batch_beside():
    whole = seen_by("pruner=none")
    parts = seen_by("pruner=none", "trainer.accumulate=2")
    for (epoch, step, _), seen in whole[0].items():
        halves = [parts[0][epoch, step, part].indices for part in range(2)]
        assert torch.equal(torch.cat(halves), seen.indices)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task.labels=11"], r"task.labels must be at most 10, the training samples of the smallest class"),
        (
            ["trainer.batch_size=30"],
            "trainer.batch_size=30 unlabelled samples must be a multiple of task.ratio=7",
        ),
        (["task.prune=labelled"], "task.ratio=7 takes 196 unlabelled samples a step, there are 100"),
    ],
)
def test_batches_that_cannot_be_had_are_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config(*TINY, *overrides).load_data()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "task.algorithm=mixmatch",
            "task.algorithm must be one of fixmatch, flexmatch, dash, got 'mixmatch'",
        ),
        ("task.prune=both", "task.prune must be one of unlabelled, labelled, got 'both'"),
        ("task.views=video", "task.views must be one of images, sound, text, got 'video'"),
        ("task.views=text", "task=semisupervised needs text, which dataset=digits or model=classifier"),
        ("task.labels=0", "task.labels must be at least 1, got 0"),
        ("task.threshold=0", r"task.threshold must be in \(0, 1\], got 0.0"),
        ("task.gamma=0.5", "task.gamma must be a number of at least 1, got 0.5"),
        ("task.floor=0", "task.floor must be a number above 0, got 0.0"),
        ("scorer=entropy", "scorer=entropy needs entropy of each sample"),
        ("pruner=static_el2n", "pruner=static_el2n needs the outputs of a classifier"),
    ],
)
def test_wrong_values_are_named(override, message):
    with pytest.raises(InputError, match=message):
        make_config(*TINY, override)


def test_an_accumulated_batch_beside_must_be_cut_evenly():
    message = (
        "trainer.batch_size=28 brings 4 labelled samples a step, which 1 processes with trainer.accumulate=7"
    )
    with pytest.raises(InputError, match=message):
        make_engine(*TINY, "trainer.accumulate=7")


def test_texts_longer_than_the_model_takes_are_refused():
    with pytest.raises(InputError, match="task.max_length must be at most 8, the positions of the model"):
        make_engine(*TEXTS, "model.positions=8")
