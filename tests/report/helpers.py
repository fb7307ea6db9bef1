"""Records as the train command writes them, made without training."""

import json
from pathlib import Path

import yaml

from bls_bench.experiments import spec

FIXTURE = Path(__file__).parent / "fixture"
EXPECTED = Path(__file__).parent / "expected"

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


def write_record(root, key, accuracy, pruned=0.0, seconds=10.0, load=None, **result):
    """Write the record of a run of two epochs; `load` is what the runner of the tables noted."""
    folder = Path(root) / key
    folder.mkdir(parents=True)
    pruner = {"_target_": "bls_bench.pruning.pruners.infobatch.InfoBatchPruner"}
    config = {"pruner": pruner, "scorer": {"alpha": 0.5}, "trainer": {"batch_size": 32}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "environment.jsonl").write_text(json.dumps(ENVIRONMENT) + "\n")
    lines = [
        {
            "epoch": epoch,
            "accuracy": accuracy - 5 * (1 - epoch),
            "pruned_percent_epoch": pruned * 2 * epoch,
            "score_loss_spearman": [None, 0.25][epoch],
        }
        for epoch in (0, 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    content = {
        "schema": 1,
        "key": key,
        "status": "finished",
        "accuracy_last": accuracy,
        "accuracy_best": accuracy + 0.5,
        "pruned_percent": pruned,
        "epochs": 2,
        "num_samples": 100,
        "train_seconds": seconds,
        "select_seconds": 0.0,
    }
    (folder / "result.json").write_text(json.dumps(content | result, indent=2) + "\n")
    if load is not None:
        (folder / "load.json").write_text(json.dumps({"load": load}) + "\n")
    return folder


def use_fixture_tables(monkeypatch):
    monkeypatch.setattr(spec, "TABLES", FIXTURE / "tables")
