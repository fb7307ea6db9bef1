"""What a table consists of: its rows, columns and the run behind each cell, read from one YAML a table."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bls_bench.system.errors import InputError

TABLES = Path(__file__).parent / "tables"
SCALES = ("digits", "small", "gpu", "paper")
SETTINGS = "settings"

Overrides = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: the paper's label, what is trained for it at this scale, which published values are its own.

    stand_in, overrides: None where nothing stands in for the paper's setting at this scale.
    rate: the pruned percentage that the column asks of every row, if it does. metric: what its runs are
    judged by, where that is not the first metric of their task.
    """

    label: str
    stand_in: str | None
    overrides: Overrides | None
    published: dict[str, str]
    rate: int | None = None
    metric: str | None = None

    @property
    def header(self) -> str:
        return f"{self.label} (here {self.stand_in})" if self.stand_in else f"{self.label} (not run here)"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row: a method and which published values are its own.

    overrides: None where the method does not exist here; a value that is a mapping differs by scale, and the
    row cannot be run at a scale that it lacks. at: further overrides for each column rate.
    published: None for a row that no paper has. x, panel: the place of a figure's point.
    """

    label: str
    overrides: Overrides | None = None
    published: dict[str, str] | None = None
    at: dict[int, Overrides] | None = None
    x: float | None = None
    panel: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or figure at one scale.

    kind: table; figure (accuracy and pruned % over `x`); rates (accuracy over the pruned % reached, a line
    a row); correlation (over epochs, BLS rows by `x`, alpha); spectra (of the losses that the runs kept);
    overhead (rows by what was measured, no columns).
    baseline: the row of full-data training. margin: of the equivalence test, in the metric's
    unit; None for the metric's own. published: which published values are of this table.
    """

    name: str
    scale: str
    title: str
    kind: str
    published: dict[str, str]
    columns: list[Column]
    rows: list[Row]
    baseline: str = "Full"
    margin: float | None = None
    note: str = ""

    @property
    def heading(self) -> str:
        return self.title if self.kind == "overhead" else f"{self.title} (SCALE={self.scale})"

    @property
    def stem(self) -> str:
        """The name of its files. What the bookkeeping costs is the same at every scale."""
        return self.name if self.kind == "overhead" else f"{self.name}.{self.scale}"

    @property
    def command(self) -> str:
        return f"make {self.name}" + ("" if self.kind == "overhead" else f" SCALE={self.scale}")

    def overrides(self, row: Row, column: Column) -> Overrides | None:
        """Return what the runs of a cell are told beside the seed; None for a cell that cannot be run."""
        if row.overrides is None or column.overrides is None:
            return None
        further: Overrides | None = {}
        if row.at is not None and column.rate is not None:
            further = row.at.get(column.rate)
        if further is None:
            return None
        merged = column.overrides | row.overrides | further
        if any(isinstance(value, dict) and self.scale not in value for value in merged.values()):
            return None
        return {key: value[self.scale] if isinstance(value, dict) else value for key, value in merged.items()}


def names() -> list[str]:
    """Return the names of all tables and figures."""
    return sorted(path.stem for path in TABLES.glob("*.yaml") if path.stem != SETTINGS)


def load(name: str, scale: str) -> Table:
    """Read a table; raises InputError for an unknown name or scale."""
    if scale not in SCALES:
        raise InputError(f"SCALE={scale} is unknown, allowed are {', '.join(SCALES)}")
    if name not in names():
        raise InputError(f"{name} is no table here, there are {', '.join(names())}")
    content, settings = deepcopy(_read(TABLES / f"{name}.yaml")), _read(TABLES / f"{SETTINGS}.yaml")
    columns = [_column(node, settings, scale) for node in content.pop("columns")]
    rows = [Row(**node) for node in content.pop("rows")]
    return Table(name=name, scale=scale, columns=columns, rows=rows, **content)


def _column(node: dict[str, Any], settings: dict[str, Any], scale: str) -> Column:
    setting = settings[node.pop("setting")].get(scale, {})
    more = node.pop("overrides", {})
    overrides = setting["overrides"] | more if setting else None
    return Column(stand_in=setting.get("name"), overrides=overrides, **node)


@cache
def _read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text())
