"""A finished run moves into the archive that the config names, once, and is found there."""

import pytest

from bls_bench.engine.session import run
from bls_bench.records.archive import Archive
from bls_bench.records.run import Record
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
    record = Record(str(records), config.key, config.resolved)
    try:
        assert record.archived(str(tmp_path / "archive"))["accuracy_last"] == plain["accuracy_last"]
    finally:
        record.close()
    assert Archive(tmp_path / "archive").result(config.key) is not None


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
