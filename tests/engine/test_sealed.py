"""A damaged checkpoint is never gone on from: it is named, and the one before it is used."""

import pytest
import torch

from bls_bench.engine import checkpoint
from bls_bench.engine.session import run
from bls_bench.system.errors import InputError
from bls_bench.system.stopping import Interrupted
from tests.helpers import TINY, StopAt, make_config, metrics, train, without_times

OFTEN = ("pruner=bls_infobatch", "trainer.checkpoint_seconds=0")


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A run stopped in its third epoch, with the checkpoint of the second's end before it."""
    config = make_config(*TINY, *OFTEN, f"records={tmp_path}")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("bls_bench.engine.session.StopSignal", lambda: StopAt(9))
        run(config)
    return config, tmp_path / config.key / "checkpoint.pt"


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
def test_one_flipped_bit_is_seen(tmp_path, share):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"weights": torch.arange(5000.0)})
    assert checkpoint.read(path) is not None
    flip(path, int(share * path.stat().st_size))
    assert checkpoint.read(path) is None


def test_a_damaged_checkpoint_gives_way_to_the_one_before(stopped, tmp_path, capsys):
    _, path = stopped
    flip(path, 1000)
    result = run(make_config(*TINY, *OFTEN, f"records={tmp_path}"))
    out = capsys.readouterr().out
    assert f"{path} is damaged: going on from the one before it" in out
    assert "going on from epoch 3, step 0" in out
    whole, lines = train(tmp_path / "whole", *OFTEN)
    assert without_times(result) == without_times(whole)
    assert without_times(metrics(path.parent)) == without_times(lines)
    assert not path.exists()
    assert not checkpoint.previous(path).exists()


def test_where_both_are_damaged_the_run_stops_and_says_so(stopped, tmp_path):
    _, path = stopped
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.suffix == ".jsonl"}
    flip(path, 1000)
    flip(checkpoint.previous(path), 1000)
    with pytest.raises(InputError, match=r"checkpoint\.pt is no whole checkpoint: delete it"):
        run(make_config(*TINY, *OFTEN, f"records={tmp_path}"))
    assert before == {
        file.name: file.read_bytes() for file in path.parent.iterdir() if file.suffix == ".jsonl"
    }


@pytest.mark.parametrize(
    "change", [{"step": 10**6}, {"step": -1}, {"step": "a"}, {"history": []}, {"parts": []}]
)
def test_a_sealed_checkpoint_of_parts_that_do_not_fit_is_refused(stopped, change):
    config, path = stopped
    checkpoint.save(path, checkpoint.read(path) | change)
    with pytest.raises(InputError, match="is no whole checkpoint"):
        run(config)
