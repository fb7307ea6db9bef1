"""The loggers with their real packages, offline: what arrives in their own files."""

import struct

import pytest
import wandb
from PIL import Image

from bls_bench.records.loggers.mlflow import MLflowLogger
from bls_bench.records.loggers.tensorboard import TensorBoardLogger
from bls_bench.records.loggers.wandb import WandbLogger
from bls_bench.records.schema import Metric
from bls_bench.records.tracking import Story
from bls_bench.system.errors import InputError
from tests.helpers import make_config, metrics, stop_at, train

BLOCK, WHOLE, LAST = 2**15, 1, 4
WEIGHTED = ("pruner=infobatch", "scorer=per_sample")


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def folders(path):
    return sorted(one for one in path.iterdir() if (one / "config.yaml").exists())


def wandb_records(path):
    """Return what W&B has written for its server, in order.

    The file is a LevelDB log behind a header of 7 bytes: blocks of 32 KiB, whose pieces have a head of
    7 bytes (checksum, length, whether whole, first, middle or last of a record).
    """
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts, found = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # too short for a head
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (WHOLE, LAST):
            found.append(Record.FromString(parts))
            parts = b""
    return found


def test_wandb_takes_a_run_offline_whole(tmp_path, capsys):
    result, _ = train(tmp_path, "logger=wandb", *WEIGHTED)
    assert "W&B" not in capsys.readouterr().err
    wandb.teardown()  # its service writes the last of it as the process ends
    (file,) = tmp_path.glob("*/wandb/offline-run-*/*.wandb")
    records = wandb_records(file)
    (run,) = [one.run for one in records if one.HasField("run")]
    assert run.run_id == folders(tmp_path)[0].name
    assert {"pruner=infobatch", "model=classifier"} <= set(run.tags)
    defined = {one.metric.name: one.metric.summary for one in records if one.HasField("metric")}
    assert defined["accuracy"].max
    assert defined["loss"].min
    rows = [
        {item.nested_key[0] if item.nested_key else item.key: item.value_json for item in one.history.item}
        for one in records
        if one.HasField("history")
    ]
    assert any("samples/scores" in row and "samples/weights" in row for row in rows)
    assert sum("accuracy" in row for row in rows) == 3
    # An upload ends with it: without one the server would wait for more.
    assert records[-1].HasField("exit") or any(one.HasField("exit") for one in records)
    summary = [i for one in records if one.HasField("summary") for i in one.summary.update]
    assert {item.key: item.value_json for item in summary}["accuracy_last"] == str(result["accuracy_last"])


def test_wandb_goes_on_in_the_same_run(tmp_path):
    stop_at(6, tmp_path, "logger=wandb")
    train(tmp_path, "logger=wandb")
    wandb.teardown()
    files = sorted(tmp_path.glob("*/wandb/offline-run-*/*.wandb"))
    runs = [one.run.run_id for file in files for one in wandb_records(file) if one.HasField("run")]
    assert set(runs) == {folders(tmp_path)[0].name}


@pytest.mark.parametrize(
    ("logger", "arrives", "within"),
    [
        (WandbLogger(mode="offline"), "run/wandb/offline-run-*/files/media/images/pictures/*.png", b"PNG"),
        (TensorBoardLogger(), "run/tensorboard/events*", b"pictures/samples"),
        (MLflowLogger(), "mlflow/*/artifacts/pictures/samples.png", b"PNG"),
    ],
    ids=["wandb", "tensorboard", "mlflow"],
)
def test_pictures_arrive(logger, arrives, within, tmp_path, capsys):
    for package in logger.requires:
        pytest.importorskip(package)
    folder = tmp_path / "run"
    folder.mkdir()
    Image.new("RGB", (40, 40)).save(folder / "samples.png")
    tracker = logger.start(Story("key", {}, {}, (Metric("a", "higher"),), 1, folder))
    tracker.show([folder / "samples.png"])
    tracker.finish(0, {})
    assert "failed" not in capsys.readouterr().err
    assert any(within in file.read_bytes() for file in tmp_path.glob(arrives))


def test_tensorboard_holds_curves_histograms_and_the_table_of_runs(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stop_at(6, tmp_path, "logger=tensorboard", *WEIGHTED)
    result, lines = train(tmp_path, "logger=tensorboard", *WEIGHTED)
    (folder,) = folders(tmp_path)
    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    told = {event.step: event.value for event in found.Scalars("accuracy")}
    assert told == {line["epoch"]: pytest.approx(line["accuracy"]) for line in lines}
    assert {"samples/scores", "samples/weights"} <= set(found.Tags()["histograms"])
    assert found.Scalars("accuracy_last")[-1].value == pytest.approx(result["accuracy_last"])
    # What HParams shows a run by: its settings, and how it ended.
    assert {"_hparams_/session_start_info", "_hparams_/session_end_info"} <= {
        *found.summary_metadata, *found.PluginTagToContent("hparams")
    }  # fmt: skip


def test_mlflow_goes_on_in_the_same_run(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    stop_at(6, tmp_path, "logger=mlflow", *WEIGHTED)
    result, _ = train(tmp_path, "logger=mlflow", *WEIGHTED)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("bls_bench").experiment_id
    (run,) = client.search_runs([experiment])
    (folder,) = folders(tmp_path)
    assert run.info.run_name == run.data.tags["bls_bench.key"] == folder.name
    assert run.info.status == "FINISHED"
    assert run.data.params["trainer.epochs"] == "3"
    assert run.data.tags["pruner"] == "infobatch"
    assert run.data.metrics["accuracy_last"] == result["accuracy_last"]
    history = {one.step: one.value for one in client.get_metric_history(run.info.run_id, "accuracy")}
    assert history == {line["epoch"]: line["accuracy"] for line in metrics(folder)}
    assert "samples/weights_p50" in run.data.metrics


@pytest.mark.parametrize(("logger", "package"), [("tensorboard", "tensorboard"), ("mlflow", "mlflow")])
def test_a_missing_package_is_told_in_one_line(logger, package, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(InputError, match=rf"logger={logger} needs {package}, .*bls_bench\[{logger}\]"):
        make_config(f"logger={logger}")
