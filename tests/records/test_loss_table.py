"""The losses kept in a record: every sample's own, and that of its batch."""

import numpy as np
import pytest

from bls_bench.system.errors import InputError
from tests.helpers import BATCH_LOSS_TASK, make_config, stop_at, train, without_times

SAVE = ("trainer.save_losses=true", "trainer.save_model=false")


def saved(records):
    (path,) = records.glob("*/losses.npy")
    return np.load(path)


@pytest.mark.parametrize("pruner", ["none", "bls_infobatch"])
def test_every_sample_has_its_losses_and_a_pruned_one_none(pruner, tmp_path):
    _, lines = train(tmp_path, *SAVE, f"pruner={pruner}", "trainer.batch_size=20")
    own, batch = saved(tmp_path)
    assert own.shape == batch.shape == (3, 100)
    assert (np.isnan(own) == np.isnan(batch)).all()
    assert np.isfinite(own).sum(1).tolist() == [line["trained"] for line in lines]
    assert np.nanmean(own, 1) == pytest.approx([line["loss"] for line in lines], rel=1e-5)
    assert np.nanmean(batch, 1) == pytest.approx([line["loss"] for line in lines], rel=1e-5)
    # The loss of a batch is the mean over those who saw it.
    for value in np.unique(batch[0]):
        assert own[0][batch[0] == value].mean() == pytest.approx(value, rel=1e-5)


def test_a_task_without_per_sample_losses_has_those_of_the_batches(tmp_path):
    train(tmp_path, *SAVE, *BATCH_LOSS_TASK, "pruner=none", "scorer=bls")
    own, batch = saved(tmp_path)
    assert np.isnan(own).all()
    assert np.isfinite(batch).all()


def test_a_stopped_run_has_the_losses_of_a_whole_one(tmp_path):
    train(tmp_path / "whole", *SAVE)
    stop_at(6, tmp_path / "parts", *SAVE)
    train(tmp_path / "parts", *SAVE)
    assert np.array_equal(saved(tmp_path / "whole"), saved(tmp_path / "parts"))


def test_a_run_that_lacks_its_losses_is_trained_again_with_equal_numbers(tmp_path, capsys):
    assert make_config(*SAVE).key == make_config().key
    without, _ = train(tmp_path)
    with_losses, _ = train(tmp_path, *SAVE)
    assert without_times(without) == without_times(with_losses)
    assert "already finished" not in capsys.readouterr().out
    train(tmp_path, *SAVE)
    assert "already finished" in capsys.readouterr().out


def test_losses_asked_for_in_the_middle_of_a_run_are_refused(tmp_path):
    stop_at(6, tmp_path)
    with pytest.raises(InputError, match="save_losses must be on from the first epoch"):
        train(tmp_path, *SAVE)
    assert not list(tmp_path.rglob("losses.npy"))
