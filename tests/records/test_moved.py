"""A finished run moves into the archive that the config names, once, and is found there."""

import json

import pytest

from bls_bench.engine.session import run
from bls_bench.records.archive import Archive
from bls_bench.system.errors import InputError
from tests.helpers import TINY, make_config, train, without_times


def overrides(tmp_path, *more):
    return (f"archive={tmp_path / 'archive'}", "trainer.save_model=false", *more)


def test_a_finished_run_moves_and_is_found(tmp_path, capsys):
    records = tmp_path / "records"
    config = make_config(*TINY, f"records={records}", *overrides(tmp_path))
    result = run(config)
    archived = Archive(tmp_path / "archive").get(config.key)
    assert without_times(archived.result).items() >= without_times(result).items()
    assert archived.curves["epoch"] == [0, 1, 2]
    assert archived.config["pruner"]["_target_"] == "none"
    assert not {"records", "archive"} & archived.config.keys()  # where it lay is nobody's business
    assert not (records / config.key).exists()
    lines = (tmp_path / "archive" / "runs.jsonl").read_text()
    capsys.readouterr()
    assert run(config)["accuracy_last"] == result["accuracy_last"]
    assert "already finished" in capsys.readouterr().out
    assert (tmp_path / "archive" / "runs.jsonl").read_text() == lines


def test_a_run_killed_before_it_moved_moves_the_next_time(tmp_path):
    records = tmp_path / "records"
    plain, _ = train(records)
    config = make_config(*TINY, f"records={records}", f"archive={tmp_path / 'archive'}")
    assert run(config)["accuracy_last"] == plain["accuracy_last"]
    assert Archive(tmp_path / "archive").result(config.key) is not None
    assert not (records / config.key / "result.json").exists()


def test_an_archive_that_is_no_folder_is_refused_before_training(tmp_path):
    (tmp_path / "archive").write_text("a file")
    config = make_config(*TINY, f"records={tmp_path / 'records'}", *overrides(tmp_path))
    with pytest.raises(InputError, match="cannot be read"):
        run(config)
    assert not (tmp_path / "records" / config.key).exists()


def test_a_run_that_cannot_move_stays_as_it_is(tmp_path, monkeypatch):
    def full(self, record, losses=None):
        raise InputError(f"archive={self.folder}: cannot write there (No space left on device)")

    monkeypatch.setattr(Archive, "append", full)
    config = make_config(*TINY, f"records={tmp_path / 'records'}", *overrides(tmp_path))
    with pytest.raises(InputError, match="No space left"):
        run(config)
    result = json.loads((tmp_path / "records" / config.key / "result.json").read_text())
    assert result["status"] == "finished"


def test_a_run_archived_without_losses_is_trained_again_for_them(tmp_path):
    plain = overrides(tmp_path)
    config = make_config(*TINY, f"records={tmp_path / 'records'}", *plain)
    run(config)
    kept = make_config(*TINY, f"records={tmp_path / 'records'}", *plain, "trainer.save_losses=true")
    assert kept.key == config.key
    (tmp_path / "records" / config.key).mkdir()
    (tmp_path / "records" / config.key / "losses.npy").write_bytes(b"cut short by a kill")
    run(kept)
    assert Archive(tmp_path / "archive").losses(config.key).stat().st_size > 1000


def test_the_losses_that_were_asked_for_move_too(tmp_path):
    config = make_config(
        *TINY, f"records={tmp_path / 'records'}", *overrides(tmp_path, "trainer.save_losses=true")
    )
    run(config)
    assert Archive(tmp_path / "archive").losses(config.key).exists()


@pytest.mark.parametrize("name", ["records", "archive"])
def test_a_folder_without_a_name_is_refused(name):
    with pytest.raises(InputError, match=f"^{name} must be a folder, got ''"):
        make_config(*TINY, f"{name}=''")
