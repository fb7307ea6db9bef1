"""Records as the train command archives them, made without training."""

from pathlib import Path

from bls_bench.experiments import spec
from bls_bench.records.archive import Archive, Archived
from bls_bench.records.schema import SCHEMA, Metric

FIXTURE = Path(__file__).parent / "fixture"
EXPECTED = Path(__file__).parent / "expected"

ACCURACY = Metric("accuracy", "higher", "%", 0.5)
ENVIRONMENT = {
    "device": "cpu",
    "device_name": "x86_64",
    "processes": 1,
    "threads": 1,
    "cpu_count": 2,
    "bls_bench": "0.1.0",
    "commit": "0123456789ab",
    "python": "3.12.0",
    "platform": "Linux-6.1",
    "torch": "2.11.0",
    "torchvision": "0.26.0",
    "timm": "1.0.0",
    "numpy": "2.0.0",
}


def archived(
    key, /, value=78.0, pruned=0.0, seconds=10.0, load=None, starts=1, metric=ACCURACY, curves=None, **result
):
    """Return the record of a run of two epochs; `value` is its metric after the last one."""
    content = {
        "schema": SCHEMA,
        "key": key,
        "status": "finished",
        "metrics": [metric._asdict()],
        "uses_scores": True,
        metric.last: value,
        metric.top: value + 0.5,
        "pruned_percent": pruned,
        "epochs": 2,
        "num_samples": 100,
        "train_seconds": seconds,
        "select_seconds": 0.0,
    }
    columns = {
        metric.name: [value - 5, value],
        "pruned_percent_epoch": [0.0, pruned * 2],
        "score_loss_spearman": [None, 0.25],
    }
    return Archived(
        key=key,
        config={"pruner": {"_target_": "infobatch"}, "scorer": {"alpha": 0.5}, "trainer": {"batch_size": 32}},
        environments=[ENVIRONMENT] * starts,
        result=content | result,
        load=load,
        curves=columns | (curves or {}),
    )


def write_record(folder, key, /, value=78.0, **fields):
    """Put a run into the archive of a folder."""
    Archive(folder).append(archived(key, value, **fields))


def use_fixture_tables(monkeypatch):
    monkeypatch.setattr(spec, "TABLES", FIXTURE / "tables")
