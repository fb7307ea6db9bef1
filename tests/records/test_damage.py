"""Damaged records are named in one line, or mended where the run itself tells what was there."""

import errno
import json
import shutil
from io import BytesIO
from pathlib import Path

import pytest
import torch

from bls_bench.engine import checkpoint
from bls_bench.engine.session import run
from bls_bench.records.run import Record
from bls_bench.system import durable
from bls_bench.system.errors import InputError
from bls_bench.tasks.weights import weights_of
from tests.config.options import TASKS, fitting
from tests.helpers import TINY, make_config, metrics, train, without_times


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run, not to be touched."""
    folder = tmp_path_factory.mktemp("records")
    train(folder)
    return folder


@pytest.fixture
def finished(made, tmp_path):
    """The folder of a finished run, and its config."""
    shutil.copytree(made, tmp_path / "records")
    config = make_config(*TINY, f"records={tmp_path / 'records'}")
    return tmp_path / "records" / config.key, config


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text(""),
        lambda path: path.write_text("- a list"),
        lambda path: path.write_text("dataset: 3\n"),
        lambda path: path.write_text("a:\tb: c\n"),
        lambda path: path.write_bytes(b"records: \xe9\n"),
        lambda path: path.write_text(path.read_text().replace("epochs: 3", "epochs: 4")),
    ],
)
def test_a_config_that_is_not_the_runs_is_written_again_and_that_is_told(spoil, finished, capsys):
    folder, config = finished
    before = (folder / "config.yaml").read_text()
    spoil(folder / "config.yaml")
    assert run(config)["status"] == "finished"
    out = capsys.readouterr().out
    assert out.startswith(f"note: {folder / 'config.yaml'} was not that of the run: it is written again")
    assert "already finished" in out
    after = (folder / "config.yaml").read_text()
    assert [line for line in after.splitlines() if "records:" not in line] == [
        line for line in before.splitlines() if "records:" not in line
    ]
    run(config)
    assert "note:" not in capsys.readouterr().out


@pytest.mark.parametrize("task", TASKS)
def test_a_written_config_is_read_as_that_of_its_run(task):
    """What `config.yaml` holds makes the same key again, whatever the run."""
    from omegaconf import OmegaConf

    from bls_bench.config.run import load

    _, config = fitting("task", task)
    assert load(OmegaConf.create(config.resolved)).key == config.key


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes().replace(b"finished", b"fini\xe9hed")),
        lambda path: path.write_text(path.read_text().replace("pruned_percent", "pruned")),
        lambda path: path.write_text(path.read_text().replace('"key": "', '"key": "f')),
        lambda path: path.write_text(path.read_text().replace('"train_seconds"', '"epochs": NaN, "x"')),
        lambda path: path.write_text(path.read_text()[:100]),
        lambda path: path.write_text(""),
    ],
)
def test_a_damaged_result_is_named_and_left(spoil, finished):
    folder, config = finished
    spoil(folder / "result.json")
    left = (folder / "result.json").read_bytes()
    with pytest.raises(InputError, match="result.json is not a whole result of schema 2") as caught:
        run(config)
    assert "\n" not in str(caught.value)
    assert (folder / "result.json").read_bytes() == left


@pytest.mark.parametrize("name", ["metrics.jsonl", "environment.jsonl"])
@pytest.mark.parametrize("content", [None, b'{"epoch": 0, "lo', b"\xe9\n"])
def test_a_record_that_cannot_be_archived_whole_is_named(name, content, finished, tmp_path):
    folder, _ = finished
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    config = make_config(*TINY, f"records={folder.parent}", f"archive={tmp_path / 'archive'}")
    with pytest.raises(InputError, match=rf"{name} is missing or damaged: delete .*{folder.name}"):
        run(config)
    assert not (tmp_path / "archive").exists()
    assert (folder / "result.json").exists()


def test_a_checkpoint_beside_a_finished_result_is_removed(finished):
    """As a kill between the two writes leaves it."""
    folder, config = finished
    checkpoint.save(folder / "checkpoint.pt", {"key": config.key})
    checkpoint.save(folder / "checkpoint.pt", {"key": config.key})
    assert run(config)["status"] == "finished"
    assert not list(folder.glob("checkpoint*"))


class Full(BytesIO):
    """A file on a full disk, which does not know its name."""

    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("file", ["metrics.jsonl", "config.yaml", "environment.jsonl"])
def test_a_full_disk_is_told_with_the_path_and_leaves_no_temporary_file(file, tmp_path, monkeypatch):
    record, opened = Record(str(tmp_path), "key", {}), Path.open

    def full(self, *args, **options):
        found = opened(self, *args, **options)
        return Full() if self.name.startswith(file) else found

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(InputError, match=rf"key/{file} cannot be written: No space left on device"):
        record.start("cpu", 1, [])
    assert not list(tmp_path.rglob("*.tmp"))
    record.close()


@pytest.mark.parametrize("write", [durable.write, durable.append])
def test_a_folder_that_cannot_be_written_is_named(write, tmp_path):
    with pytest.raises(InputError, match=r"nowhere/file cannot be written: No such file or directory"):
        write(tmp_path / "nowhere" / "file", "text")


def test_a_record_that_is_deleted_in_mid_run_is_made_again(made, tmp_path, monkeypatch, capsys):
    whole = next(made.iterdir())
    epochs = []

    def delete(self, line, append=Record.append):
        if len(epochs) == 1:
            shutil.rmtree(self.path)
        append(self, line)
        epochs.append(line)

    monkeypatch.setattr(Record, "append", delete)
    result, lines = train(tmp_path)
    folder = tmp_path / whole.name
    assert capsys.readouterr().out.count(f"{folder} was deleted while the run goes on: it is made again") == 1
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}
    assert without_times(lines) == without_times(metrics(whole))
    kept = json.loads((whole / "result.json").read_text())
    assert without_times(result).items() <= without_times(kept).items()
    with pytest.raises(InputError, match="another process"):
        first = Record(str(tmp_path), whole.name, {})
        shutil.rmtree(folder)
        first.append({})
        Record(str(tmp_path), whole.name, {})


def test_a_flipped_bit_of_saved_weights_is_seen(finished):
    folder, _ = finished
    assert weights_of("resnet18", str(folder / "model.pt")).keys()
    content = bytearray((folder / "model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.pt").write_bytes(content)
    with pytest.raises(InputError, match="model.pt cannot be read .*: its checksum does not fit"):
        weights_of("resnet18", str(folder / "model.pt"))


@pytest.mark.parametrize("content", [[1], 3, {"a": {1}}, {1: 2}])
def test_weights_that_are_none_are_named(content, tmp_path):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights\.pt cannot be read as a state dict"):
        weights_of("resnet18", str(tmp_path / "weights.pt"))
