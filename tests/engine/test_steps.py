"""Runs counted in steps: exactly so many, whatever is pruned, and all that goes by progress goes by steps."""

import pytest
import torch

from bls_bench.config.compose import composed
from bls_bench.config.run import load
from bls_bench.pruning.budget import Steps
from bls_bench.system.errors import InputError
from tests.helpers import StopAt, make_config, make_engine, same_weights, stop_at, train, without_times

# 100 digits in batches of 32: four steps an epoch, the last of them a short one.
STEPS = ("trainer.epochs=null", "trainer.steps=10")


KINDS = ("none", "random", "infobatch", "bls_seta", "static_random")


@pytest.mark.parametrize(("pruner", "steps"), [("none", 4), *((kind, 10) for kind in KINDS)])
def test_there_are_exactly_so_many(pruner, steps, tmp_path):
    result, lines = train(tmp_path, f"pruner={pruner}", "trainer.epochs=null", f"trainer.steps={steps}")
    made = [-(-line["trained"] // 32) for line in lines]
    assert sum(made) == result["steps"] == steps
    # The last epoch ends with the last step, and all before it are whole.
    assert all(line["kept"] - line["trained"] <= 1 for line in lines[:-1])
    pruned = 100 - sum(line["kept"] for line in lines) / len(lines)
    assert result["pruned_percent"] == pytest.approx(pruned)
    assert lines[-1]["accuracy"] is not None


def test_pruning_gives_more_epochs_instead_of_fewer_steps(tmp_path):
    whole, _ = train(tmp_path, *STEPS)
    part, _ = train(tmp_path, *STEPS, "pruner=random", "pruner.prune_ratio=0.5")
    assert (whole["steps"], part["steps"]) == (10, 10)
    assert part["epochs"] > whole["epochs"] == 3
    assert part["pruned_percent"] == pytest.approx(50)


def test_a_target_is_kept(tmp_path):
    more = ("trainer.epochs=null", "trainer.steps=150", "trainer.batch_size=10")
    result, _ = train(tmp_path, *more, "pruner=infobatch", "pruner.target=0.3")
    # How many epochs so many steps will be is known to about one of them only.
    assert result["pruned_percent"] == pytest.approx(30, abs=100 / result["epochs"] * 0.3)


def test_the_learning_rate_follows_the_steps():
    engine, rates = make_engine(*STEPS, "pruner=random", "scheduler=cosine"), []
    engine.learner.learn, learn = (
        lambda *given: rates.append(_rate(engine)) or learn(*given),
        engine.learner.learn,
    )
    while not engine.state.past:
        engine.epoch(None, StopAt(-1))
    expected = [engine.config.optimizer.lr * engine.config.scheduler.factor(step / 10) for step in range(10)]
    assert rates == pytest.approx(expected)


def _rate(engine):
    return engine.learner.optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("stop", [2, 5, 9])
def test_stop_and_resume(stop, tmp_path):
    whole, lines = train(tmp_path / "whole", *STEPS, "pruner=infobatch")
    stop_at(stop, tmp_path / "parts", *STEPS, "pruner=infobatch")
    torch.manual_seed(99)
    again, more = train(tmp_path / "parts", *STEPS, "pruner=infobatch")
    assert without_times(again) == without_times(whole)
    assert without_times(more) == without_times(lines)
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


def test_as_many_steps_as_epochs_have_are_the_same_run(tmp_path):
    one, _ = train(tmp_path / "epochs", "scheduler=constant")
    other, _ = train(tmp_path / "steps", "scheduler=constant", "trainer.epochs=null", "trainer.steps=12")
    assert one["accuracy_last"] == other["accuracy_last"]
    assert same_weights(tmp_path / "epochs", tmp_path / "steps")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.steps=5"], "trainer.epochs=30 and trainer.steps=5: give one, and null for the other"),
        (
            ["trainer.epochs=null"],
            "trainer.epochs=null and trainer.steps=null: give one, and null",
        ),
        (["trainer.epochs=null", "trainer.steps=0"], "trainer.steps must be at least 1"),
        ([*STEPS, "trainer.save_losses=true"], "trainer.save_losses must be false in a run counted in steps"),
    ],
)
def test_exactly_one_length_is_given(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config(*overrides)


def test_fewer_epochs_are_no_way_to_a_target():
    with pytest.raises(InputError, match="pruner.match=epochs trains fewer epochs"):
        make_engine(
            "pruner=infobatch",
            "trainer.epochs=null",
            "trainer.steps=60",
            "pruner.target=0.5",
            "pruner.match=epochs",
        )


def test_keys_of_runs_in_epochs_stay_and_steps_have_their_own():
    plain = load(composed(["pruner=none"]))
    assert plain.trainer.steps is None
    keys = {make_config("pruner=none", "trainer.epochs=null", f"trainer.steps={n}").key for n in (30, 31)}
    assert len({plain.key, *keys}) == 3


def test_a_process_counts_its_own_batches(tmp_path):
    assert make_engine(*STEPS).state.steps == Steps(10, 32)
