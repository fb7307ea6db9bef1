"""The page of a run: what it keeps of each sample, told by its task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from bls_bench.config.run import Config
from bls_bench.data.base import Data
from bls_bench.gallery import PAGE
from bls_bench.gallery.history import read
from bls_bench.gallery.page import About, write
from bls_bench.gallery.shown import Shown
from bls_bench.system.errors import InputError


def about(config: Config, result: dict[str, Any], lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the page says of a run besides its samples, and the config that finds these again.

    lines: the metrics of its epochs.
    """
    parts = {group: config.resolved[group]["_target_"] for group in ("task", "model", "pruner", "scorer")}
    parts["model"] = config.resolved["model"].get("name", parts["model"])
    known = [line["score_loss_spearman"] for line in lines if line["score_loss_spearman"] is not None]
    facts = {
        **parts,
        "data": config.dataset.name,
        "seed": str(config.seed),
        "samples": f"{result['num_samples']:,}",
        "epochs": str(result["epochs"]),
        "pruned": f"{result['pruned_percent']:.1f}%",
        **{metric.name: metric.text(result[f"{metric.name}_last"]) for metric in config.task.metrics},
        "score~loss": f"{sum(known) / len(known):+.2f}" if known else "unknown",
    }
    return {"key": config.key, "config": config.resolved, "facts": facts}


def title(facts: dict[str, str]) -> str:
    """Name a run in a few words."""
    return f"{facts['pruner']} with {facts['scorer']} scores on {facts['data']}, seed {facts['seed']}"


def draw(kept: Path, config: Config, data: Data) -> Path:
    """Write the page of a run beside the file that holds its history; returns where.

    Raises InputError where the history is not one of these data.
    """
    history, found = read(kept)
    if history.num_samples != len(data.train):
        raise InputError(
            f"{kept} was made with {history.num_samples} training samples, the data set has "
            f"{len(data.train)} now"
        )
    targets = None if data.targets is None else data.targets.numpy()

    def show(indices: Sequence[int]) -> Iterator[Shown]:
        return config.task.shown(data, torch.tensor(indices))

    names = () if targets is None else data.info.classes
    page = About(title(found["facts"]), found["facts"])
    return write(kept.with_name(PAGE), history, page, show, targets, names)
