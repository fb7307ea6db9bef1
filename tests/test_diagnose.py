"""The command `python -m bls_bench.diagnose`, on a tiny run."""

import sys

import pytest

from bls_bench import diagnose
from tests.helpers import TINY, make_config, train

RUN = ("pruner=selective_backprop", "scorer=kalman", "model=mlp", "trainer.save_losses=true")


def test_the_page_of_a_run(tmp_path, monkeypatch, capsys):
    train(tmp_path, *RUN)
    capsys.readouterr()  # what training told
    monkeypatch.setattr(sys, "argv", ["diagnose", f"records={tmp_path}"])
    diagnose.main()
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == ["Losses", "Time", "Training", "page"]
    (page,) = tmp_path.glob("*/diagnosis.html")
    assert len(page.read_text()) > 20_000


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "give the folder of a run"), (["records=nowhere"], "records=nowhere must hold one run, got none")],
)
def test_what_is_no_run_is_refused_in_one_line(words, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["diagnose", *words])
    with pytest.raises(SystemExit) as left:
        diagnose.main()
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_a_run_without_its_losses_is_refused(tmp_path, monkeypatch, capsys):
    train(tmp_path, "model=mlp")
    monkeypatch.setattr(
        sys, "argv", ["diagnose", f"records={tmp_path / make_config(*TINY, 'model=mlp').key}"]
    )
    with pytest.raises(SystemExit):
        diagnose.main()
    assert "trainer.save_losses=true" in capsys.readouterr().err
