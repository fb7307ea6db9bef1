"""What the scores of a run are made of: python -m bls_bench.diagnose records=outputs/KEY.

It needs a run trained with trainer.save_losses=true, which keeps who was trained on when. The page is written
into the run's folder as diagnosis.html; its three lines of words are printed too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

import numpy as np
from omegaconf import DictConfig, OmegaConf

from bls_bench.config.run import Config, load
from bls_bench.records.archive import columns
from bls_bench.refusals import EXPECTED, tell
from bls_bench.report import diagnosis, diagnosis_page
from bls_bench.system.errors import InputError

HELP = """usage: python -m bls_bench.diagnose records=DIR

Writes diagnosis.html into the record, one file to open in a browser, and prints its three lines of words:
what the scores know of the losses and of the time, and who is trained on. DIR is the record of a run
trained with trainer.save_losses=true, or a folder with one such record."""
FILES = ("config.yaml", "metrics.jsonl", "losses.npy")


def main() -> None:
    """Run the command and exit: 0 done, 2 bad input."""
    words = sys.argv[1:]
    if words in (["--help"], ["-h"]):
        print(HELP)
        return
    try:
        folder = run_folder(words)
        for line in write(folder):
            print(line)
        print(f"page: {folder / 'diagnosis.html'}")
    except tuple(EXPECTED) as error:
        sys.exit(tell(error))


def run_folder(words: list[str]) -> Path:
    """Return the folder of the run that records=DIR names: DIR itself, or the only run in it.

    Raises InputError for other words, and where there is no such run, or several.
    """
    if len(words) != 1 or not words[0].startswith("records="):
        raise InputError(
            f"give the folder of a run, as records=outputs/KEY, got {' '.join(words) or 'nothing'}"
        )
    folder = Path(words[0].removeprefix("records=")).expanduser()
    found = (
        [folder] if (folder / FILES[0]).exists() else [path.parent for path in folder.glob(f"*/{FILES[0]}")]
    )
    if len(found) != 1:
        many = ", ".join(sorted(path.name for path in found)[:5])
        raise InputError(f"records={folder} must hold one run, got {many or 'none'}")
    for name in FILES[1:]:
        if not (found[0] / name).exists():
            raise InputError(f"{found[0] / name} is missing: train the run with trainer.save_losses=true")
    return found[0]


def write(folder: Path) -> list[str]:
    """Write the page of a run into its folder; returns its lines of words."""
    curves = columns(json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    lacking = [name for name in ("score_absence_spearman", "weight_sum") if name not in curves]
    if lacking:
        raise InputError(
            f"{folder / 'metrics.jsonl'} lacks {', '.join(lacking)}: the run is of an older version"
        )
    # A batch's loss is noted for everybody who was in it.
    trained = np.isfinite(np.load(folder / "losses.npy", mmap_mode="r")[1, : len(curves["epoch"])])
    settings = cast(DictConfig, OmegaConf.load(folder / "config.yaml"))
    targets, names = classes(load(settings))
    found = diagnosis.diagnose(trained, curves, targets)
    (folder / "diagnosis.html").write_text(diagnosis_page.html(folder.name, found, curves, names))
    return diagnosis.words(found)


def classes(config: Config) -> tuple[np.ndarray | None, list[str]]:
    """Return the class of each training sample, (N,) int, and the names of those that occur."""
    data = config.load_data()
    if data.targets is None:
        return None, []
    targets = data.targets.numpy()
    return targets, [str(label) for label in np.unique(targets)]


if __name__ == "__main__":
    main()
