"""The experiment `scores-matter`: its cells, read from one YAML, which needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bls_bench.system.errors import InputError

FILE = Path(__file__).parent / "scores_matter.yaml"
NAME = "scores-matter"
# The first is that of the files without a scale in their name.
SCALES = ("digits", "gpu")
GROUPS = ("settings", "models", "pruners", "scorers")


class Cell(NamedTuple):
    """What the runs of a cell have in common, by the names of the YAML; rate: the pruned %."""

    setting: str
    model: str
    pruner: str
    rate: int
    scorer: str

    @property
    def names(self) -> dict[str, str]:
        return {name: str(value) for name, value in self._asdict().items()}


@dataclass(frozen=True)
class Grid:
    """The cells of a scale in the order in which they are run, and what each name stands for."""

    scale: str
    common: dict[str, Any]
    names: dict[str, dict[str, dict[str, Any]]]
    cells: list[Cell]

    @property
    def stem(self) -> str:
        """The name of its page and its figure."""
        return self._named(NAME)

    def records(self, results: Path) -> Path:
        """Return the file of what was measured."""
        return results / "scores" / f"{self._named('cells')}.jsonl"

    def _named(self, name: str) -> str:
        return name if self.scale == SCALES[0] else f"{name}.{self.scale}"

    def label(self, group: str, name: str) -> str:
        return self.names[group][name]["label"]

    def labels(self, group: str) -> dict[str, str]:
        """Return the labels of a group by name, in the order of the YAML."""
        return {name: content["label"] for name, content in self.names[group].items()}

    def overrides(self, cell: Cell) -> dict[str, Any]:
        """Return what the runs of a cell are told beside the seed."""
        chosen = (cell.setting, cell.model, cell.pruner, cell.scorer)
        merged = dict(self.common)
        for group, name in zip(GROUPS, chosen, strict=True):
            merged |= self.names[group][name]["overrides"]
        return merged | {"pruner.target": cell.rate / 100}

    def control(self, cell: Cell) -> Cell:
        """Return the cell of random scores that this one is compared with.

        Where losses have weights, a method with the losses of the samples weighs each by its own, and so
        does its control.
        """
        own = self.names["pruners"][cell.pruner].get("weighs") and self.names["scorers"][cell.scorer].get(
            "per_sample"
        )
        return cell._replace(scorer="random_per_sample" if own else "random")


@cache
def load(scale: str = SCALES[0]) -> Grid:
    """Read the grid of a scale; raises InputError for one that it lacks."""
    if scale not in SCALES:
        raise InputError(f"SCALE={scale} is none of {NAME}, which has {' and '.join(SCALES)}")
    content = yaml.safe_load(FILE.read_text())
    names = {group: content[group] for group in GROUPS}
    own = content["scales"][scale]
    return Grid(scale, own["common"], names, list(dict.fromkeys(_cells(own["grid"]))))


def _cells(blocks: Iterable[Mapping[str, list[Any]]]) -> Iterable[Cell]:
    for block in blocks:
        parts = (block[group] for group in ("settings", "models", "pruners", "rates", "scorers"))
        for setting, model, pruner, rate, scorer in product(*parts):
            yield Cell(setting, model, pruner, rate, scorer)
