"""What records hold, for those that write them and those that read them. Needs no torch."""

from __future__ import annotations

from typing import Literal, NamedTuple

SCHEMA = 2


class Metric(NamedTuple):
    """What a task is judged by.

    better: which way is up. unit: "%" for one. margin: of the equivalence test, in the unit; without one
    no verdict is possible.
    """

    name: str
    better: Literal["higher", "lower"]
    unit: str = ""
    margin: float | None = None

    def text(self, value: float) -> str:
        """Write a value with its unit."""
        return (
            f"{value:.2f}{self.unit}" if self.unit == "%" else f"{value:.4g}{self.unit and ' ' + self.unit}"
        )

    def best(self, values: list[float]) -> int:
        """Return where the best of the values is, the first of equal ones."""
        return values.index(max(values) if self.better == "higher" else min(values))
