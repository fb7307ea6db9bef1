"""Which runs stand behind the cells of a table: a small file, so that rendering composes no config."""

import json
from pathlib import Path

from bls_bench.system.errors import InputError

# The keys of a cell's runs by seed, for each row's and column's label.
Keys = dict[tuple[str, str], dict[int, str]]


def path(results: Path, table: str, scale: str) -> Path:
    return results / "manifests" / f"{table}.{scale}.json"


def write(file: Path, keys: Keys) -> None:
    cells = [{"row": row, "column": column, "runs": runs} for (row, column), runs in keys.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(cell) for cell in cells)
    file.write_text(f"[\n{lines}\n]\n")


def read(file: Path) -> Keys:
    """Read a manifest, empty if there is none; raises InputError naming a file that is no manifest."""
    if not file.exists():
        return {}
    try:
        return {
            (cell["row"], cell["column"]): {int(seed): key for seed, key in cell["runs"].items()}
            for cell in json.loads(file.read_text())
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(f"{file} is not a manifest: delete it and make the table again") from None
