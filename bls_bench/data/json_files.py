"""JSON files of lists of entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bls_bench.system.errors import InputError, folded


def listed(file: Path, *keys: str) -> tuple[Sequence[Any], ...]:
    """Return the lists that a file has at these keys. Raises InputError if there are none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{file} is missing: is dataset.root right, and the names of the splits?") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: {folded(error)}") from None
    for key in keys:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(f"{file} has no list of {key}")
    return tuple(content[key] for key in keys)
