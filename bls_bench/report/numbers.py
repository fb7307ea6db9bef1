"""How the values of a metric are written."""

from bls_bench.records.schema import Metric
from bls_bench.report.statistics import Spread


def title(metric: Metric | None) -> str:
    """Return the metric's name as it begins a sentence: "Accuracy", but "mAP"."""
    if metric is None:
        return "Result"
    name = metric.name.replace("_", " ")
    return name.capitalize() if name.islower() else name


def label(metric: Metric | None) -> str:
    """Return what heads a column and stands at an axis: "Accuracy %"."""
    return f"{title(metric)} {metric.unit if metric else ''}".rstrip()


def spread(found: Spread, metric: Metric) -> str:
    """Write a mean, its standard deviation and of how many; a percentage with two decimals."""
    whole = metric.unit == "%"
    around = "no spread"
    if found.std is not None:
        around = f"± {found.std:.2f}" if whole else f"± {_significant(found.std, 2)}"
    mean = f"{found.mean:.2f}" if whole else _significant(found.mean, 4)
    return f"{mean} {around} (n={found.n})"


def difference(value: float | None, metric: Metric | None) -> str:
    """Write a difference between two values of a metric."""
    if value is None or metric is None or metric.unit == "%":
        return signed(value)
    return _significant(value, 3, "+")


def signed(value: float | None) -> str:
    """Write a number of the size of a percentage or a correlation with its sign; nothing for None."""
    # Adding 0 takes the sign from a zero.
    return "" if value is None else f"{round(value, 2) + 0:+.2f}"


def margin(value: float, metric: Metric) -> str:
    return f"{value} {'points' if metric.unit == '%' else metric.unit}".rstrip()


def _significant(value: float, digits: int, sign: str = "") -> str:
    """Write a number with so many significant digits, and one that is larger with all before its point."""
    rounded = float(f"{value:.{digits}g}") + 0  # adding 0 takes the sign from a zero
    return f"{value:{sign}.0f}" if abs(rounded) >= 10**digits else f"{rounded:{sign}.{digits}g}"
