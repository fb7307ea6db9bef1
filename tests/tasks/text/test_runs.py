"""Laws of whole runs of text classification, on a hundred docstrings."""

import pytest
import torch

from bls_bench.system.errors import InputError

from ...helpers import StopAt
from ...two_processes import in_two_processes
from ..running import assert_same, make_config, make_engine, train, train_in_two_goes
from .helpers import TINY

PAIRS = [("none", "per_sample"), ("random", "per_sample"), ("infobatch", "per_sample")]
PAIRS += [("static_random", "per_sample"), ("infobatch", "error_norm"), ("infobatch", "gradient_norm")]
PAIRS += [(pruner, "bls") for pruner in ("infobatch", "seta", "repb")]


@pytest.mark.parametrize(("pruner", "scorer"), PAIRS)
def test_every_kind_of_pruning_trains(pruner, scorer, tmp_path):
    result, lines, _ = train(tmp_path, *TINY, f"pruner={pruner}", f"scorer={scorer}")
    assert result["status"] == "finished"
    assert len(lines) == 3
    assert 0 <= result["accuracy_last"] <= 100


@pytest.mark.parametrize("steps", [2, 4])
@pytest.mark.parametrize("by_length", ["false", "true"])
def test_stopped_in_the_middle_of_an_epoch_equals_uninterrupted(steps, by_length, tmp_path):
    overrides = (*TINY, "pruner=bls_infobatch", f"trainer.by_length={by_length}")
    whole = train(tmp_path / "whole", *overrides)
    assert_same(train_in_two_goes(steps, tmp_path / "parts", *overrides), whole)


def two_epochs(rank=0, folder=None):
    # Without dropout, whose noise is each process' own, and AdamW, which turns rounding into steps.
    # An even number of samples in every batch: the mean of two halves is that of the whole.
    plain = ("model.dropout=0", "optimizer=sgd", "dataset.size=24", "dataset.subset=16")
    engine = make_engine(*TINY, "pruner=random", "pruner.target=0.5", *plain)
    lines = [engine.epoch(None, StopAt(-1)) for _ in range(2)]
    return [line["accuracy"] for line in lines], engine.learner.weights()


def test_two_processes_make_the_steps_of_one(tmp_path):
    accuracies, weights = two_epochs()
    for other, others in in_two_processes(two_epochs, tmp_path):
        assert other == accuracies
        for name, value in weights.items():
            torch.testing.assert_close(others[name], value, rtol=1e-4, atol=1e-5)


def test_batches_by_length_are_of_the_same_samples():
    small = (*TINY, "trainer.batch_size=8")
    plain, sorted_ = (make_engine(*small, f"trainer.by_length={one}") for one in ("false", "true"))
    before, after = plain.state.begin_epoch(), sorted_.state.begin_epoch()
    assert sorted(before.indices.tolist()) == sorted(after.indices.tolist())
    lengths = sorted_.data.lengths

    def padded(selection):
        return sum(int(lengths[batch.indices].max()) * len(batch.indices) for batch in selection.batches(8))

    assert padded(after) < padded(before)


def test_data_without_lengths_have_no_batches_by_length():
    with pytest.raises(InputError, match=r"trainer.by_length=true .* dataset=digits does not have"):
        make_engine("trainer.by_length=true", "dataset.subset=5", "trainer.batch_size=8")


def test_it_learns(tmp_path):
    """Texts of which one word tells the class."""
    fillers, words = ("the", "and", "of", "to", "a"), ("war", "goal", "bank", "code")
    lines = [f'"{i % 4 + 1}","{fillers[i % 5]} {words[i % 4]} {i}"' for i in range(200)]
    (tmp_path / "test.csv").write_text("\n".join(lines))
    files = ("dataset=agnews", f"dataset.root={tmp_path}", "dataset.part=test", "dataset.vocabulary=400")
    small = [one for one in TINY if not one.startswith("dataset")]
    more = (
        "trainer.epochs=10",
        "trainer.batch_size=16",
        "optimizer.lr=0.004",
        "model.width=32",
        "pruner=none",
    )
    result, lines, _ = train(tmp_path, *small, *files, *more)
    assert result["accuracy_last"] > 90
    assert lines[0]["accuracy"] < 60


def test_other_versions_of_the_packages_are_another_run():
    here, there = make_config(*TINY), make_config(*TINY, "dataset.versions='numpy 0'")
    assert "numpy" in here.resolved["dataset"]["versions"]
    assert here.key != there.key
