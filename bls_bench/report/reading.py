"""The files of a record, read back; one that is damaged is an InputError that names it."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bls_bench.system.errors import InputError

AGAIN = "delete its folder to train the run again"
ENVIRONMENT = ("threads", "processes", "cpu_count")
VERSIONS = ("bls_bench", "commit", "torch", "torchvision", "timm", "python")
MACHINE = ("platform", "device_name", "device")


def check_environment(file: Path, line: dict[str, Any], remedy: str = AGAIN) -> None:
    """Raise InputError unless the line says on what machine, and with which versions, something was run."""
    demand(file, line, ENVIRONMENT, known=MACHINE + VERSIONS, remedy=remedy)


def demand(
    file: Path,
    line: dict[str, Any],
    numbers: Iterable[str],
    known: Iterable[str] = (),
    or_null: bool = False,
    remedy: str = AGAIN,
) -> None:
    """Raise InputError unless the line has the `numbers`, finite (or null where allowed), and the `known`."""
    unfit = [name for name in known if name not in line]
    for name in numbers:
        value = line.get(name, math.nan)
        finite = isinstance(value, int | float) and math.isfinite(value)
        if not finite and not (or_null and value is None):
            unfit.append(name)
    if unfit:
        raise InputError(f"{file} does not say {', '.join(unfit)} as it should: {remedy}")


def config(file: Path) -> dict[str, Any]:
    """Read config.yaml; raises InputError where parts are missing that the tables read."""
    try:
        config = yaml.load(file.read_text(), yaml.CSafeLoader)
        config["pruner"]["_target_"], config["scorer"], config["trainer"]["batch_size"]
    except (OSError, yaml.YAMLError, LookupError, TypeError):
        raise InputError(f"{file} is not the whole config of a run: {AGAIN}") from None
    return config


def load(file: Path) -> float | None:
    """Read load.json; None where nobody noted the load."""
    if not file.exists():
        return None
    (content,) = json_lines(file, whole=True)
    demand(file, content, ("load",))
    return content["load"]


def losses(file: Path, result: dict[str, Any]) -> np.ndarray | None:
    """Map losses.npy, (2, epochs, N) float32; None where they were not kept."""
    if not file.exists():
        return None
    try:
        losses = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        losses = np.empty(0)
    if losses.shape != (2, result["epochs"], result["num_samples"]):
        raise InputError(f"{file} is cut short or of another run: {AGAIN}")
    return losses


def json_lines(file: Path, whole: bool = False) -> list[dict[str, Any]]:
    """Read a file of a JSON object a line, or of one only; raises InputError naming a damaged file."""
    try:
        text = file.read_text()
        lines = [json.loads(part) for part in ([text] if whole else text.splitlines())]
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror})") from None
    except ValueError:
        raise InputError(f"{file} is cut short or not JSON: {AGAIN}") from None
    if not all(isinstance(line, dict) for line in lines):
        raise InputError(f"{file} is of no JSON object a line: {AGAIN}")
    return lines
