"""Which runs stand behind the cells of a table: a small file, so that rendering composes no config."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bls_bench.system.errors import InputError

# A cell by its row's and column's labels, and the keys of its runs by seed.
Place = tuple[str, str]
Keys = dict[Place, dict[int, str]]


@dataclass(frozen=True)
class Rule:
    """How many seeds a table gets if they decide: a group-sequential rule, fixed before the first look.

    looks: at how many seeds, counted from 0, its comparisons are looked at. alpha: what each look spends, the
    same number of values; a verdict of any of them is wrong with their sum at most.
    """

    looks: tuple[int, ...]
    alpha: tuple[float, ...]

    @property
    def budget(self) -> int:
        return self.looks[-1]


FIRST_LOOK = 5
ALPHA = 0.05


def rule_within(budget: int) -> Rule:
    """Return the rule with at most so many seeds: looks at 5, 10, 20 and so on, the last at the budget.

    Each look spends the same (Bonferroni). Raises InputError for a budget below the first look.
    """
    if budget < FIRST_LOOK:
        raise InputError(f"BUDGET={budget} must be at least {FIRST_LOOK} seeds, the first look")
    looks = [FIRST_LOOK]
    while looks[-1] < budget:
        looks.append(min(2 * looks[-1], budget))
    return Rule(tuple(looks), (ALPHA / len(looks),) * len(looks))


def path(results: Path, table: str, scale: str) -> Path:
    return results / "manifests" / f"{table}.{scale}.json"


def write(file: Path, keys: Keys, rule: Rule | None = None) -> None:
    """Write which runs stand behind the cells: a list, or beside the rule by which they got their seeds."""
    cells = [{"row": row, "column": column, "runs": runs} for (row, column), runs in keys.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(cell) for cell in cells)
    text = f"[\n{lines}\n]"
    if rule is not None:
        text = f'{{"rule": {json.dumps(asdict(rule))},\n"cells": {text}}}'
    file.write_text(f"{text}\n")


def read(file: Path) -> Keys:
    """Read a manifest, empty if there is none; raises InputError naming a file that is no manifest."""
    return _read(file)[0]


def rule(file: Path) -> Rule | None:
    """Return the rule by which a table gets its seeds, None where they are given; raises as `read` does."""
    return _read(file)[1]


def _read(file: Path) -> tuple[Keys, Rule | None]:
    if not file.exists():
        return {}, None
    try:
        content, found = json.loads(file.read_text()), None
        if isinstance(content, dict):
            found = Rule(
                tuple(map(int, content["rule"]["looks"])), tuple(map(float, content["rule"]["alpha"]))
            )
            content = content["cells"]
        return {
            (cell["row"], cell["column"]): {int(seed): key for seed, key in cell["runs"].items()}
            for cell in content
        }, found
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(f"{file} is not a manifest: delete it and make the table again") from None
