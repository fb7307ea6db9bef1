"""What records hold, for those that write them and those that read them. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

SCHEMA = 2

# Numbers that every result has, beside the last and the best value of each metric.
RESULT = ("epochs", "num_samples", "pruned_percent", "train_seconds", "select_seconds")
# Curves that every run has beside its metrics'; a value is null where an epoch has none.
CURVES = ("pruned_percent_epoch", "score_loss_spearman")
# Of the process and machine that a run was trained on: numbers, names, versions.
ENVIRONMENT = ("threads", "processes", "cpu_count")
MACHINE = ("platform", "device_name", "device")
VERSIONS = ("bls_bench", "commit", "torch", "torchvision", "timm", "python")
# How the names end of what is measured, in which two runs of one config differ.
MEASURED = ("seconds", "per_second", "_mib")


class Metric(NamedTuple):
    """What a task is judged by.

    better: which way is up. unit: "%" for one. margin: of the equivalence test, in the unit; without one
    no verdict is possible.
    """

    name: str
    better: Literal["higher", "lower"]
    unit: str = ""
    margin: float | None = None

    @property
    def last(self) -> str:
        """The name under which a result holds the value after the last epoch."""
        return f"{self.name}_last"

    @property
    def top(self) -> str:
        """The name under which a result holds the best epoch's value."""
        return f"{self.name}_best"

    @property
    def extreme(self) -> Literal["min", "max"]:
        """Which of several values is the best."""
        return "max" if self.better == "higher" else "min"

    def text(self, value: float) -> str:
        """Write a value with its unit."""
        return (
            f"{value:.2f}{self.unit}" if self.unit == "%" else f"{value:.4g}{self.unit and ' ' + self.unit}"
        )

    def best(self, values: list[float]) -> int:
        """Return where the best of the values is, the first of equal ones."""
        return values.index({"max": max, "min": min}[self.extreme](values))


def metrics(result: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics of a result, the headline first; none where it does not tell them."""
    try:
        return [Metric(**line) for line in result["metrics"]]
    except (KeyError, TypeError):
        return []


def result_fault(result: Mapping[str, Any]) -> str | None:
    """Say what keeps a result from being that of a finished run of this schema; None if nothing does."""
    if result.get("schema") != SCHEMA:
        return f"has schema {result.get('schema')}, this version reads {SCHEMA}"
    if result.get("status") != "finished":
        return f"is {result.get('status')}: {result.get('error')}"
    told = metrics(result)
    numbers = (*RESULT, *(name for metric in told for name in (metric.last, metric.top)))
    lacks = ([] if told else ["metrics"]) + unfit(result, numbers, known=("uses_scores",))
    return _lacking(lacks)


def curves_fault(curves: Mapping[str, Any], result: Mapping[str, Any]) -> str | None:
    """Say what the curves of a run lack, given its result, which has no fault; None if nothing."""
    epochs = result["epochs"]
    for name, column in curves.items():
        if not isinstance(column, list) or len(column) != epochs:
            return f"does not say {name} of each of its {epochs} epochs"
    names = (*(metric.name for metric in metrics(result)), *CURVES)
    return _lacking(
        [
            name
            for name in names
            if name not in curves or any(unfit({name: v}, [name], or_null=True) for v in curves[name])
        ]
    )


def environment_fault(environment: Mapping[str, Any]) -> str | None:
    """Say what keeps a line from telling on what machine, and with which versions, something was run."""
    return _lacking(unfit(environment, ENVIRONMENT, known=MACHINE + VERSIONS))


def _lacking(names: list[str]) -> str | None:
    return f"does not say {', '.join(names)} as it should" if names else None


def unfit(
    line: Mapping[str, Any], numbers: Iterable[str], known: Iterable[str] = (), or_null: bool = False
) -> list[str]:
    """Return the `known` that a line lacks, and the `numbers` that are not finite, nor null where allowed."""
    lacks = [name for name in known if name not in line]
    for name in numbers:
        value = line.get(name, math.nan)
        finite = isinstance(value, int | float) and math.isfinite(value)
        if not finite and not (or_null and value is None):
            lacks.append(name)
    return lacks
