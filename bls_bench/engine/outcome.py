"""What has come out of a run: its result, and what the terminal says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning_fabric import Fabric

from bls_bench.config.run import Config
from bls_bench.engine.live import duration
from bls_bench.pruning.state import PruningState
from bls_bench.pruning.visits import Visits
from bls_bench.records.run import Record
from bls_bench.records.schema import Metric, metrics
from bls_bench.system.clock import totals


def result_of(
    history: list[dict[str, Any]], state: PruningState, metrics: Sequence[Metric]
) -> dict[str, Any]:
    """Return the result of a run from the metrics of its epochs.

    For each metric its last and its best value; best_epoch is that of the first one, the headline.
    """
    result: dict[str, Any] = {"status": "finished", "metrics": [metric._asdict() for metric in metrics]}
    for metric in metrics:
        evaluated = [line for line in history if line[metric.name] is not None]
        best = evaluated[metric.best([line[metric.name] for line in evaluated])]
        result |= {
            f"{metric.name}_last": evaluated[-1][metric.name],
            f"{metric.name}_best": best[metric.name],
        }
        result.setdefault("best_epoch", best["epoch"])
    result["uses_scores"] = state.pruner.scores
    return {
        **result,
        "pruned_percent": state.pruned_percent,
        "loss_last": history[-1]["loss"],
        "epochs": len(history),
        **({} if state.steps is None else {"steps": state.steps_made}),
        "num_samples": state.num_samples,
        "samples_trained": sum(line["trained"] for line in history),
        **_scoring(state),
        **totals(history),
    }


def _scoring(state: PruningState) -> dict[str, float]:
    """What a static pruner's scoring run took, and the pruned % with it counted as training."""
    cost = state.pruner.cost
    if not cost:
        return {}
    share = cost["scoring_samples"] / (state.num_samples * state.epochs_asked)
    return {**cost, "pruned_percent_with_scoring": state.pruned_percent - 100 * share}


def epoch_line(line: dict[str, Any], epochs: int, metrics: Sequence[Metric]) -> str:
    """One epoch in one line for the terminal."""
    found = [f"{one.name} {one.text(line[one.name])}  " for one in metrics if line[one.name] is not None]
    text = (
        f"epoch {line['epoch'] + 1:>3}/{epochs}  loss {line['loss']:.4f}  {''.join(found)}"
        f"kept {line['kept']}  pruned so far {line['pruned_percent']:.1f}%"
    )
    if line["score_loss_spearman"] is not None:
        text += f"  score~loss {line['score_loss_spearman']:+.2f}"
    return text


def announce(config: Config, state: PruningState, fabric: Fabric) -> None:
    """Print what the run is to prune, in how many of the epochs asked for or in how many steps."""
    length = f"{state.num_epochs} epochs of {config.trainer.epochs}"
    if state.steps is not None:
        length = f"{state.steps.number} steps"
    if expected := expectation(config, state.epochs_asked):
        fabric.print(f"to be pruned in {length}: {expected}")


def report(
    what: str, result: dict[str, Any], config: Config, record: Record, device: str, following: str
) -> None:
    """Print the outcome: one line, and beneath it what was saved and where the record lies.

    device: the type of the one that trains. following: the command to try next, or empty.
    """
    epochs, archive = config.trainer.epochs, config.root.archive
    expected = expectation(config, epochs or result["epochs"])
    found = ", ".join(
        f"{one.name} {one.text(result[one.last])} (best {one.text(result[one.top])})"
        for one in metrics(result)
    )
    rows = {
        "samples": _samples(result, epochs),
        "time": _seconds(result, epochs, device),
        "record": f"{record.path}" if archive is None else f"run {config.key} in the archive {archive}",
        "next": following,
    }
    print(
        f"{what}: {found}, pruned {result['pruned_percent']:.1f}%{expected and f' ({expected})'}",
        *(f"  {name:<9}{text}" for name, text in rows.items() if text),
        sep="\n",
    )
    root, made_with = config.resolved["dataset"].get("root"), record.recorded().get("dataset", {}).get("root")
    if made_with is not None and root != made_with:
        print(f"note: it was made with dataset.root={made_with}; choose another records= for other data")


def _spared(result: dict[str, Any], epochs: int | None) -> int:
    """Return how many samples a run of so many epochs saved against full data, its scoring run counted in.

    epochs: None for a run in steps, which makes as many of them as without pruning.
    """
    if epochs is None:
        return 0
    full = result["num_samples"] * epochs
    return full - result["samples_trained"] - result.get("scoring_samples", 0)


def _samples(result: dict[str, Any], epochs: int | None) -> str:
    spared, text = _spared(result, epochs), f"{result['samples_trained']:,} trained on"
    return f"{text}, {spared:,} of {result['num_samples'] * (epochs or 0):,} saved" if spared > 0 else text


def _seconds(result: dict[str, Any], epochs: int | None, device: str) -> str:
    """Say what the training took, and an estimate of what pruning saved of it.

    A sample left out is taken to cost what one trained on did, and what the pruner itself took is subtracted.
    On a CPU this is CPU time, which does not depend on what else the machine does.
    """
    text = f"{duration(result['train_seconds'])} of training"
    if device != "cpu":
        saved = result["train_seconds"] / result["samples_trained"] * _spared(result, epochs)
        saved -= result["select_seconds"]
        return f"{text}, about {duration(saved)} saved" if saved > 0 else text
    if "cpu_seconds" not in result:  # as in old records
        return text
    text += f", {duration(result['cpu_seconds'])} of CPU time"
    each = (result["cpu_seconds"] - result["select_seconds"]) / result["samples_trained"]
    saved = each * _spared(result, epochs) - result["select_seconds"]
    return f"{text}, about {duration(saved)} of CPU time saved" if saved > 0 else text


def expectation(config: Config, epochs: int) -> str:
    """Say how much of a run of so many epochs is to be pruned; empty where the pruner cannot tell."""
    percent = config.pruner.expected_percent(epochs, config.scorer.below_mean)
    if percent is None:
        return ""
    return f"expected {'' if config.pruner.wanted_share is not None else 'about '}{percent:.1f}%"


def mean_loss(visits: Visits) -> float:
    """Return the mean loss of an epoch's samples, unweighted; 0 where none had a loss."""
    return float((visits.batch_losses.double() * visits.batch_sizes).sum() / max(len(visits.indices), 1))
