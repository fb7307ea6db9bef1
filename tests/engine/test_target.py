"""Runs that are sent to a pruned %, on digits."""

import pytest
import torch

from bls_bench.system.errors import InputError
from tests.helpers import TINY, make_config, stop_at, train, without_times

SIX = "trainer.epochs=6"


@pytest.mark.parametrize(
    ("pruner", "target"),
    [
        ("infobatch", 0.3),
        ("infobatch_quantile", 0.5),
        ("bls_seta", 0.5),
        ("repb", 0.7),
        ("random", 0.8),
        ("infobatch", 0.1),
        ("seta", 0.7),
        ("repb", 0.1),
        ("epsilon_greedy", 0.6),
        ("ucb", 0.2),
        ("selective_backprop", 0.4),
        ("importance", 0.5),
        ("repb_importance", 0.7),
    ],
)
def test_a_run_reaches_its_target_and_says_so(pruner, target, tmp_path, capsys):
    result, lines = train(tmp_path, f"pruner={pruner}", f"pruner.target={target}", SIX)
    assert result["pruned_percent"] == pytest.approx(100 * target, abs=0.5)
    out = capsys.readouterr().out
    assert f"to be pruned in 6 epochs of 6: expected {100 * target:.1f}%" in out
    assert f"pruned {result['pruned_percent']:.1f}% (expected {100 * target:.1f}%)" in out
    ratios = [line["prune_ratio"] for line in lines]
    assert all(0 <= ratio < 1 for ratio in ratios)
    assert any(ratios)
    # An epoch in which nothing was set to be pruned was whole.
    assert all(line["kept"] == 100 for line in lines if line["prune_ratio"] == 0 and pruner != "bls_seta")


def test_fewer_epochs_make_the_forward_passes_of_the_target(tmp_path, capsys):
    overrides = ("pruner=infobatch", "pruner.target=0.5", "pruner.match=epochs", SIX)
    result, lines = train(tmp_path, *overrides)
    assert len(lines) == result["epochs"] == 4
    assert sum(line["kept"] for line in lines) == pytest.approx(300, abs=2)
    assert result["pruned_percent"] == pytest.approx(50, abs=0.5)
    assert "to be pruned in 4 epochs of 6: expected 50.0%" in capsys.readouterr().out
    assert make_config(*TINY, *overrides).resolved["trainer"]["epochs"] == 6


@pytest.mark.parametrize(
    ("overrides", "steps"), [(("pruner=infobatch",), 7), (("pruner=bls_seta", "pruner.match=epochs"), 6)]
)
def test_stop_and_resume_equals_uninterrupted(overrides, steps, tmp_path):
    overrides = (*overrides, "pruner.target=0.4", SIX)
    whole, lines = train(tmp_path / "whole", *overrides)
    stop_at(steps, tmp_path / "parts", *overrides)
    torch.manual_seed(99)
    again, again_lines = train(tmp_path / "parts", *overrides)
    assert again["pruned_percent"] == whole["pruned_percent"]
    assert without_times(again_lines) == without_times(lines)


def test_without_a_target_the_expected_share_is_an_estimate(tmp_path, capsys):
    train(tmp_path, "pruner=infobatch", SIX)
    assert capsys.readouterr().out.count("expected about 31.2%") == 2
    train(tmp_path, "pruner=none")
    assert "expected" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["pruner=none", "+pruner.target=0.5"], "pruner.target: unknown key, this pruner has no settings"),
        (["pruner=seta", "pruner.target=1"], r"pruner.target must be in \[0, 1\), got 1"),
        (["pruner=seta", "pruner.target=half"], "pruner.target=half: Value 'half'"),
        (["pruner=repb", "pruner.match=epochs"], "pruner.match=epochs needs a target"),
        (
            ["pruner=bls_infobatch", "pruner.target=0.8", "trainer.epochs=10"],
            "pruner.target=0.8 cannot be reached in 10 epochs: at most 0.76 .* take delta=1",
        ),
    ],
)
def test_bad_input(overrides, message):
    with pytest.raises(InputError, match=message):
        make_config(*overrides)


def test_an_option_that_is_off_leaves_the_names_of_runs_alone():
    plain = make_config("pruner=infobatch").key
    assert make_config("pruner=infobatch", "pruner.target=null").key == plain
    assert make_config("pruner=infobatch", "pruner.target=0.5").key != plain
