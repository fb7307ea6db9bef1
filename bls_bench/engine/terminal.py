"""What the train command says of a run: what it expects, and what has come out."""

from typing import Any

from lightning_fabric import Fabric

from bls_bench.config import Config
from bls_bench.records.run import Record


def announce(config: Config, num_epochs: int, fabric: Fabric) -> None:
    """Print what the run is to prune, in how many of the epochs asked for."""
    if expected := expectation(config):
        fabric.print(f"to be pruned in {num_epochs} epochs of {config.trainer.epochs}: {expected}")


def report(what: str, result: dict[str, Any], config: Config, record: Record) -> None:
    """Print the outcome."""
    metric, expected = config.task.metric, expectation(config)
    print(
        f"{what}: {metric} {result[f'{metric}_last']:.2f}% (best {result[f'{metric}_best']:.2f}%), "
        f"pruned {result['pruned_percent']:.1f}%{expected and f' ({expected})'}, "
        f"training took {result['train_seconds']:.1f} s\n"
        f"record: {record.path}"
    )
    root, made_with = config.resolved["dataset"].get("root"), record.data_root()
    if root != made_with:
        print(f"note: it was made with dataset.root={made_with}; take another records= if that is other data")


def expectation(config: Config) -> str:
    """Say how much of the run is to be pruned; empty where the pruner cannot tell."""
    percent = config.pruner.expected_percent(config.trainer.epochs, config.scorer.below_mean)
    if percent is None:
        return ""
    about = "" if getattr(config.pruner, "target", None) is not None else "about "
    return f"expected {about}{percent:.1f}%"
