import json
import platform
from pathlib import Path

import pytest
import torch

from bls_bench.engine.session import run
from bls_bench.records.run import Record, device_name
from bls_bench.records.schema import SCHEMA
from bls_bench.system.durable import write
from bls_bench.system.errors import InputError
from tests.engine.helpers import DIGITS, right_percent
from tests.helpers import TINY, make_config, train


def test_result_is_written_last_and_only_once(tmp_path):
    train(tmp_path)
    folder = next(tmp_path.iterdir())
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "config.yaml", "environment.jsonl", "metrics.jsonl", "model.pt", "result.json"
    }  # fmt: skip
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "result.json"
    environment = json.loads((folder / "environment.jsonl").read_text())
    assert environment["torch"] == torch.__version__
    assert environment["device"] == "cpu"
    assert environment["processes"] == 1


def test_a_finished_run_is_not_made_again(tmp_path, capsys):
    result, _ = train(tmp_path)
    before = {
        path: path.stat().st_mtime_ns for path in next(tmp_path.iterdir()).iterdir() if path.name != ".lock"
    }
    capsys.readouterr()
    again, _ = train(tmp_path)
    assert "already finished" in capsys.readouterr().out
    assert again == result | {"schema": SCHEMA, "key": again["key"]}
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_save_model_false_leaves_no_weights(tmp_path):
    train(tmp_path, "trainer.save_model=false")
    assert not list(tmp_path.rglob("*.pt"))


def test_the_saved_model_is_the_trained_one(tmp_path):
    result, _ = train(tmp_path)
    config = make_config(*TINY, f"records={tmp_path}")
    model = config.model.build(DIGITS)
    model.load_state_dict(torch.load(tmp_path / config.key / "model.pt", weights_only=True))
    assert right_percent(model, config.dataset.load(0).test) == pytest.approx(result["accuracy_last"])


def test_a_run_in_progress_is_left_alone(tmp_path):
    record = Record(str(tmp_path), "key", {})
    with pytest.raises(InputError, match="another process is training run key right now"):
        Record(str(tmp_path), "key", {})
    record.close()
    Record(str(tmp_path), "key", {}).close()


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="records=.*file: cannot write there"):
        Record(str(tmp_path / "file"), "key", {})


def test_metrics_are_those_of_the_checkpoint_and_what_comes_after(tmp_path):
    """Whatever a crash has left of the file: a line too many, half a line, none."""
    for left in ('{"epoch": 0}\n{"epoch": 1}\n{"epoch": 2, "lo', "", None):
        record = Record(str(tmp_path), "key", {})
        path = record.path / "metrics.jsonl"
        path.unlink(missing_ok=True) if left is None else path.write_text(left)
        record.start("cpu", 1, [{"epoch": 0}])
        record.append({"epoch": 1})
        assert path.read_text() == '{"epoch": 0}\n{"epoch": 1}\n'
        record.close()


def test_a_folder_that_nothing_was_written_to_is_removed(tmp_path):
    Record(str(tmp_path / "new"), "key", {}).close()
    assert not (tmp_path / "new" / "key").exists()


@pytest.mark.parametrize(
    "text", ['{"status": "fin', "[]", '{"status": "finished"}', '{"schema": 99, "status": "finished"}']
)
def test_what_is_no_result_is_named(text, tmp_path):
    config = make_config(*TINY, f"records={tmp_path}")
    (tmp_path / config.key).mkdir()
    path = tmp_path / config.key / "result.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"result.json is not a whole result of schema 2: delete it"):
        run(config)
    assert path.read_text() == text


def test_text_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    write(tmp_path / "file", "old")

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(InputError, match="file cannot be written: disk full"):
        write(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_cpu_is_named_as_the_system_tells_it(monkeypatch):
    def told(path):
        assert str(path) == "/proc/cpuinfo"
        return "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu\n"

    monkeypatch.setattr(Path, "read_text", told)
    assert device_name("cpu") == "Some CPU @ 2.00GHz"

    def untold(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", untold)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert device_name("cpu") == "riscv64"
