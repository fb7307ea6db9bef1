"""The look command: a page of what a run did with each of its samples, from its record and its data."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from omegaconf import OmegaConf

from bls_bench.config.run import load
from bls_bench.gallery import KEPT
from bls_bench.refusals import EXPECTED, tell
from bls_bench.system.errors import InputError

HELP = """usage: python -m bls_bench.look records=DIR

Writes look.html into the record, one file to open in a browser: which samples were trained on how often, and
their scores. DIR is the record of a run trained with trainer.look=true, or a folder with one such record."""


def main() -> None:
    """Run the command and exit: 0 done, 2 bad input."""
    words = sys.argv[1:]
    if words in (["--help"], ["-h"]):
        print(HELP)
        return
    if os.environ.get("RANK", "0") != "0":
        return  # under torchrun one process writes the page
    try:
        print(f"page: {look(_folder(words))}")
    except tuple(EXPECTED) as error:
        sys.exit(tell(error))


def look(folder: Path) -> Path:
    """Write the page of the run in a folder of records; returns where. Raises InputError."""
    kept = found(folder)
    # Imported here: it takes seconds.
    from bls_bench.engine.looking import draw
    from bls_bench.gallery.history import read

    _, about = read(kept)
    config = load(OmegaConf.create(about["config"]))
    return draw(kept, config, config.load_data())


def found(folder: Path) -> Path:
    """Return the one history in a record, or in a folder of records; raises InputError."""
    if not folder.is_dir():
        raise InputError(f"records={folder} is not a folder")
    if (folder / KEPT).exists():
        return folder / KEPT
    runs = sorted(folder.glob(f"*/{KEPT}"))
    if not runs:
        raise InputError(f"records={folder} has no run to look at: train it with trainer.look=true")
    if len(runs) > 1:
        raise InputError(f"records={folder} has {len(runs)} runs, give one of {_listed(runs)}")
    return runs[0]


def _listed(runs: list[Path]) -> str:
    from bls_bench.engine.looking import title
    from bls_bench.gallery.history import read

    return ", ".join(f"records={run.parent} ({title(read(run)[1]['facts'])})" for run in runs)


def _folder(words: list[str]) -> Path:
    if len(words) != 1 or not words[0].startswith("records="):
        given = " ".join(words) or "nothing"
        raise InputError(f"give the record of a run, as in records=outputs/KEY: got {given}")
    return Path(words[0].removeprefix("records=")).expanduser()


if __name__ == "__main__":
    main()
