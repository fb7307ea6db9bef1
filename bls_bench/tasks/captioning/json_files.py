"""JSON files of lists of entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from bls_bench.system.errors import InputError, folded


@lru_cache(maxsize=1)
def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file} is missing: is dataset.root right?") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: {folded(error)}") from None


def listed(file: Path, key: str) -> Sequence[Any]:
    """Return the list that a file has at `key`. Raises InputError if there is none."""
    content = _read(file)
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        raise InputError(f"{file} has no list of {key}")
    return content[key]
