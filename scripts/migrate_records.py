"""Give every archived run the key that its config has today: python scripts/migrate_records.py.

For records of which nothing changed but how keys are made. A setting that is newer than a record gets its
default, which has to be what the run did. The archives and manifests are written anew.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bls_bench.config.run import load
from bls_bench.experiments import manifest, spec
from bls_bench.records.archive import Archive, Archived
from bls_bench.records.run import PLACES

# Runs of a rule for InfoBatch under a target that was taken back: they are trained again.
STALE_COMMIT = "702bc8a00265-dirty"
RENAMED = {"images_per_second": "samples_per_second"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    results = parser.parse_args().results
    keys: dict[str, str] = {}
    for scale in spec.SCALES:
        keys |= migrate(results / scale)
    for file in sorted((results / "manifests").glob("*.json")):
        cells = manifest.read(file)
        manifest.write(
            file,
            {cell: {seed: keys.get(key, key) for seed, key in runs.items()} for cell, runs in cells.items()},
        )


def migrate(folder: Path) -> dict[str, str]:
    """Write an archive anew; returns the new keys of its runs by the old ones."""
    old, new = Archive(folder), Archive(folder.with_name(f"{folder.name}.new"))
    records = {key: with_todays_key(found) for key in old if (found := old.get(key)) is not None}
    for key, record in sorted(records.items(), key=lambda item: item[1].key):
        if stale(record):
            print(f"left out: {folder.name} {key} -> {record.key}: {json.dumps(record.config['pruner'])}")
            continue
        kept = old.losses(key)
        new.append(record, kept if kept.exists() else None)
    if records:
        folder.rename(folder.with_name(f"{folder.name}.old"))
        new.folder.rename(folder)
    return {key: record.key for key, record in records.items()}


def with_todays_key(record: Archived) -> Archived:
    config = load(OmegaConf.create(record.config))
    return replace(
        record,
        key=config.key,
        config={name: value for name, value in config.resolved.items() if name not in PLACES},
        result=with_todays_names(record.result) | {"key": config.key},
        curves=with_todays_names(record.curves),
    )


def with_todays_names(fields: dict[str, Any]) -> dict[str, Any]:
    return {RENAMED.get(name, name): value for name, value in fields.items()}


def stale(record: Archived) -> bool:
    commits = {environment["commit"] for environment in record.environments}
    return STALE_COMMIT in commits and record.config["pruner"].get("match") == "epochs"


if __name__ == "__main__":
    main()
