"""A run's key: a hash of everything that its numbers depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bls_bench.system.settings import Part

LENGTH = 12


def key_of(seed: int, parts: Mapping[str, Part], targets: Mapping[str, str], partial: bool = False) -> str:
    """Return the name of a run, LENGTH hexadecimal digits.

    It stands for the seed and, for each part, its name on the command line (`targets`), the version of
    its algorithm and every value, defaults included: a default that changes changes the key. Left out are
    what changes no number, all of a folder but its last name, and fields newer than the records at the
    value under which those were made. A value may have a version of its own (`bls_bench.system.settings`),
    and a part one for runs that are `partial`, whose samples may go without a loss.
    """
    kept = {group: _kept(part, targets.get(group), partial) for group, part in parts.items()}
    text = json.dumps({"seed": seed, **kept}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _kept(part: Part, target: str | None, partial: bool) -> dict[str, Any]:
    kept: dict[str, Any] = {"_target_": target, "_version_": part.version}
    if partial and part.silent_version > 1:
        kept["_silent_version_"] = part.silent_version
    assert dataclasses.is_dataclass(part)
    for field in dataclasses.fields(part):
        value, metadata = getattr(part, field.name), field.metadata
        if not metadata.get("keyed", True) or ("neutral" in metadata and value == metadata["neutral"]):
            continue
        if metadata.get("folder") and value is not None:
            value = Path(value).expanduser().absolute().name
        if "versions" in metadata and value in metadata["versions"]:
            value = [value, metadata["versions"][value]]
        kept[field.name] = value
    return kept
