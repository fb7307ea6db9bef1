"""Ten cells of the committed tables, and the numbers of docs/findings.md, computed again.

From the lines of the archives, with json and statistics alone: nothing here is shared with the report.
"""

import csv
import json
from functools import cache
from pathlib import Path
from statistics import fmean, stdev

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
# Student's t, 97.5%, by how many values, from a printed table.
T = {2: 12.7062, 3: 4.3027, 5: 2.7764, 10: 2.2622, 20: 2.0930, 40: 2.0227}


@cache
def lines(scale, name):
    """The last line of each key of one file of an archive."""
    content = (RESULTS / scale / name).read_text().splitlines()
    return {line["key"]: line for line in map(json.loads, content)}


@cache
def keys(stem):
    found = json.loads((RESULTS / "manifests" / f"{stem}.json").read_text())
    return {(cell["column"], cell["row"]): cell["runs"] for cell in found}


def values(stem, column, row, seeds=None):
    """The metric after the last epoch by seed, of what was run."""
    runs, scale = lines(stem.rpartition(".")[2], "runs.jsonl"), stem.rpartition(".")[2]
    assert scale in ("digits", "small")
    found = {}
    for seed, key in keys(stem)[column, row].items():
        if key in runs and (seeds is None or int(seed) < seeds):
            result = runs[key]["result"]
            found[seed] = result[result["metrics"][0]["name"] + "_last"]
    return found


def interval(ours, others):
    """Mean of the paired differences with the ends of its 95% interval, and of how many."""
    differences = [ours[seed] - others[seed] for seed in ours if seed in others]
    mean, n = fmean(differences), len(differences)
    half = T[n] * stdev(differences) / n**0.5
    return mean, mean - half, mean + half, n


CELLS = [
    ("table8.digits", "ResNet-18", "InfoBatch"),
    ("table8.digits", "ResNet-18", "SeTa + BLS"),
    ("table8.small", "ResNet-18", "InfoBatch + BLS"),
    ("table2.digits", "CIFAR-100 50%", "RePB"),
    ("table2.digits", "CIFAR-100 70%", "SeTa"),
    ("table3.digits", None, "BLS-SeTa"),
    ("table5.digits", "CIFAR-10 DDPM", "BLS-InfoBatch"),
    ("table7.digits", None, "BLS-InfoBatch"),
    ("infobatch-table1.digits", None, "Random* (dynamic)"),
    ("repb-table1.digits", None, "RePB"),
]


@pytest.mark.parametrize(("stem", "column", "row"), CELLS)
def test_cells_are_what_the_archive_says(stem, column, row):
    table = list(csv.DictReader((RESULTS / "tables" / f"{stem}.csv").open()))
    line = next(
        one for one in table if one["method"] == row and column in (None, one["column"]) and int(one["n"]) > 1
    )
    ours, full = (values(stem, line["column"], label) for label in (row, table[0]["method"]))
    mean, low, high, n = interval(ours, full)
    told = [float(line[f"against_full{end}"]) for end in ("", "_low", "_high")]
    assert told == pytest.approx([mean, low, high], rel=1e-4, abs=1e-4)
    (name,) = [name for name in line if name.endswith("_last") and line[name]]
    assert float(line[name]) == pytest.approx(fmean(ours.values()), abs=1e-6)
    assert float(line[f"{name}_std"]) == pytest.approx(stdev(ours.values()), abs=1e-6)
    assert (int(line["n"]), int(line["pairs"])) == (len(ours), n)
