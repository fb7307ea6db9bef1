"""Move the records of schema 1, a folder each, into the archives, once: python scripts/migrate_records.py."""

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from bls_bench.records.archive import Archive, Archived, columns

ACCURACY = {"name": "accuracy", "better": "higher", "unit": "%", "margin": 0.5}
# What stood in `_target_`, below bls_bench, and the name that people type.
NAMES = {
    "dataset": {"data.digits.Digits": "digits", "data.folder.ImageFolder": "imagefolder"},
    "model": {"models.Model": "classifier"},
    "task": {"tasks.classification.Classification": "classification"},
    "optimizer": {"optim.Optimizer": "timm"},
    "scheduler": {"optim.OneCycle": "onecycle"},
    "pruner": {
        "pruning.epsilon_greedy.EpsilonGreedyPruner": "epsilon_greedy",
        "pruning.importance.ImportancePruner": "importance",
        "pruning.infobatch.InfoBatchPruner": "infobatch",
        "pruning.pruner.NoPruning": "none",
        "pruning.random.RandomPruner": "random",
        "pruning.repb.RePBPruner": "repb",
        "pruning.repb_importance.RePBImportancePruner": "repb_importance",
        "pruning.selective_backprop.SelectiveBackpropPruner": "selective_backprop",
        "pruning.seta.SeTaPruner": "seta",
        "pruning.ucb.UCBPruner": "ucb",
        "static.boundary.DeepFool": "static_deepfool",
        "static.difficulty.EL2N": "static_el2n",
        "static.difficulty.Entropy": "static_entropy",
        "static.difficulty.Forgetting": "static_forgetting",
        "static.difficulty.GraNd": "static_grand",
        "static.difficulty.LeastConfidence": "static_least_confidence",
        "static.difficulty.Margin": "static_margin",
        "static.difficulty.ProxyTopK": "proxy_topk",
        "static.geometry.ContextualDiversity": "static_contextual_diversity",
        "static.geometry.Herding": "static_herding",
        "static.geometry.KCenter": "static_kcenter",
        "static.gradients.Craig": "static_craig",
        "static.gradients.Glister": "static_glister",
        "static.influence.DatasetPruning": "static_dp",
        "static.influence.Influence": "static_influence",
        "static.random.StaticRandom": "static_random",
    },
    "scorer": {
        "pruning.scorers.BatchLossScore": "bls",
        "pruning.scorers.CentredBatchLossScore": "bls_centered",
        "pruning.scorers.PerSampleLoss": "per_sample",
        "pruning.scorers.RandomScore": "random",
        "pruning.scorers.ResidualScore": "residual",
        "pruning.signal_scorers.Entropy": "entropy",
        "pruning.signal_scorers.ErrorNorm": "error_norm",
        "pruning.signal_scorers.GradientNorm": "gradient_norm",
        "pruning.signal_scorers.Margin": "margin",
    },
    "logger": {"tracking.Logger": "none"},
}
SCALES = {"digits": "digits", "imagefolder": "small"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("results/runs"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    for folder in sorted(path.parent for path in arguments.runs.glob("*/result.json")):
        record, scale = read(folder)
        kept = folder / "losses.npy"
        Archive(arguments.results / scale).append(record, kept if kept.exists() else None)


def read(folder: Path) -> tuple[Archived, str]:
    """Return a record as the archive holds it, and the scale whose archive that is."""
    config = yaml.load((folder / "config.yaml").read_text(), yaml.CSafeLoader)
    for group, names in NAMES.items():
        config[group]["_target_"] = names[config[group]["_target_"].removeprefix("bls_bench.")]
    pruner = config["pruner"]["_target_"]
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    result |= {
        "schema": 2,
        "metrics": [ACCURACY],
        "uses_scores": pruner not in ("none", "random", "proxy_topk") and not pruner.startswith("static_"),
    }
    load = folder / "load.json"
    record = Archived(
        key=folder.name,
        config=config,
        environments=lines(folder / "environment.jsonl"),
        result=result,
        load=json.loads(load.read_text())["load"] if load.exists() else None,
        curves=columns(lines(folder / "metrics.jsonl")),
    )
    return record, SCALES[config["dataset"]["_target_"]]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


if __name__ == "__main__":
    main()
