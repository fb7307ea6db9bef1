"""Whether a folder that results go to can be used, before anything is trained for it."""

import os
from pathlib import Path

from bls_bench.system.errors import InputError


def usable(results: Path) -> None:
    """Make the folder where it is not there; raises InputError if that, or writing in it, is not possible."""
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--results {results}: cannot write there ({error.strerror})") from None
    if not os.access(results, os.W_OK | os.X_OK):
        raise InputError(f"--results {results}: cannot write there")
