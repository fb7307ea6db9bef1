"""Ten cells of the committed tables, and the numbers of docs/findings.md, computed again.

From the lines of the archives, with json and statistics alone: nothing here is shared with the report.
"""

import csv
import json
import re
from functools import cache
from pathlib import Path
from statistics import fmean, stdev, variance

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


def values(stem, column, row, seeds=None, metric=None):
    """The metric after the last epoch by seed, of what was run; without a name the first one."""
    runs, scale = lines(stem.rpartition(".")[2], "runs.jsonl"), stem.rpartition(".")[2]
    assert scale in ("digits", "small")
    found = {}
    for seed, key in keys(stem)[column, row].items():
        if key in runs and (seeds is None or int(seed) < seeds):
            result = runs[key]["result"]
            found[seed] = result[(metric or result["metrics"][0]["name"]) + "_last"]
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


def scored(setting, scorer, name="balanced_accuracy", pruner="selective_backprop", rate="50", model="mlp"):
    """What `scores-matter` measured by seed."""
    wanted = {
        "setting": setting,
        "model": model,
        "pruner": pruner,
        "rate": rate,
        "scorer": scorer,
    }
    found = map(json.loads, (RESULTS / "scores" / "cells.jsonl").read_text().splitlines())
    line = [one for one in found if one["cell"] == wanted][-1]
    return {seed: value for seed, value in zip(line["seeds"], line["values"][name], strict=True) if seed < 40}


def correlation(key):
    """Score~loss over the last half of a run."""
    column = lines("digits", "epochs.jsonl")[key]["curves"]["score_loss_spearman"]
    return fmean(value for value in column[len(column) // 2 :] if value is not None)


def correlations(name):
    """Of BLS and of random scores, by seed: score~loss, mean over five cells of tables 8 and 2."""
    wide = [("table8.digits", column, f"{name} + BLS") for column in ("ResNet-18", "ResNet-50")]
    wide += [("table2.digits", f"CIFAR-100 {rate}%", f"BLS-{name}") for rate in (30, 50, 70)]
    rows = [
        [keys(stem)[column, row] for stem, column, row in wide],
        [keys(stem)[column, f"Control: {name}, random scores"] for stem, column, _ in wide],
    ]
    return [
        {seed: fmean(correlation(runs[seed]) for runs in cells) for seed in "0123456789"} for cells in rows
    ]


def saved(stem, column, row):
    """Percent of full data's CPU seconds by seed, of the row and of nothing pruned."""
    runs = lines("digits", "runs.jsonl")
    own, full = (keys(stem)[column, label] for label in (row, "Full"))
    seconds = [{seed: runs[of[seed]]["result"]["cpu_seconds"] for seed in own} for of in (own, full)]
    shares = {seed: 100 * (1 - seconds[0][seed] / seconds[1][seed]) for seed in own}
    return shares, dict.fromkeys(own, 0.0)


def pair(stem, column, row, other, seeds, metric=None):
    return values(stem, column, row, seeds, metric), values(stem, column, other, seeds, metric)


def beside_random(setting, scorer, **cell):
    return scored(setting, scorer, **cell), scored(setting, "random", **cell)


MAE = ("infobatch-table3.digits", "ViT-B(MAE), hidden patches")
DDPM, COCO = "CIFAR-10 DDPM", "COCO detection"
RANDOM = "Control: InfoBatch, random scores"
FIFTH = "Control: random, 20% pruned"
UNWEIGHED = "Ours: RePB without weights"
FEWER = "Control: all data, epochs for InfoBatch's cost"
FINDINGS = (
    {
        "table8 InfoBatch": (2, lambda: pair("table8.digits", "ResNet-18", "InfoBatch + BLS", "Full", 10)),
        "table8 random": (2, lambda: pair("table8.digits", "ResNet-18", "InfoBatch + BLS", RANDOM, 10)),
        "table8 small": (2, lambda: pair("table8.small", "ResNet-18", "InfoBatch + BLS", "Full", 3)),
        "equal cost": (2, lambda: pair("table8.digits", "ResNet-18", "InfoBatch", FEWER, 10)),
        "equal cost, wider": (2, lambda: pair("table8.digits", "ResNet-50", "InfoBatch", FEWER, 10)),
        "fewer epochs": (2, lambda: pair("table8.digits", "ResNet-18", FEWER, "Full", 10)),
        "fewer epochs, wider": (2, lambda: pair("table8.digits", "ResNet-50", FEWER, "Full", 10)),
        "table2 random": (2, lambda: pair("table2.digits", "CIFAR-100 30%", "Random* (dynamic)", "Full", 10)),
        "ddpm": (2, lambda: pair("table5.digits", DDPM, "BLS-InfoBatch", "Full", 5)),
        "ddpm time": (1, lambda: saved("table5.digits", DDPM, "BLS-InfoBatch")),
        "detection": (2, lambda: pair("table7.digits", COCO, "BLS-InfoBatch", "Full", 5)),
        "detection time": (1, lambda: saved("table7.digits", COCO, "BLS-InfoBatch")),
        "faces": (0, lambda: pair("infobatch-table8.small", "FFHQ", "Ours: BLS-InfoBatch", "Full", 3)),
        "pedestrians": (2, lambda: pair("table7.small", COCO, "BLS-InfoBatch", "Full", 3)),
        "streets": (2, lambda: pair("infobatch-fig4.small", "ADE20K", "Ours: BLS-InfoBatch", "Full", 3)),
        "words": (2, lambda: pair("table1.digits", "MJ+ST text recognition", "BLS-InfoBatch", "Full", 5)),
        "captions": (1, lambda: pair("table1.digits", "captioning", "BLS-InfoBatch", "Full", 5)),
        "depths": (2, lambda: pair("table4.digits", "WHU-MVS stereo", "BLS-InfoBatch", "Full", 5)),
        "answers": (3, lambda: pair("infobatch-table9.digits", "Alpaca", "Ours: BLS-InfoBatch", "Full", 5)),
        "views": (2, lambda: pair("repb-table5.digits", "CVACT", "Ours: BLS-RePB", "Full", 5)),
        "hidden patches": (3, lambda: pair(*MAE, "Ours: BLS-InfoBatch", "Full", 5, "reconstruction")),
        "linear probe": (2, lambda: pair(*MAE, "Ours: BLS-InfoBatch", "Full", 5, "probe_accuracy")),
        "a fifth at random": (2, lambda: pair("repb-table8.digits", "Yelp FlexMatch", FIFTH, "Full", 5)),
        "InfoBatch score~loss": (4, lambda: correlations("InfoBatch")),
        "SeTa score~loss": (4, lambda: correlations("SeTa")),
        "clock": (3, lambda: (scored("tail50", "bls7", "score_absence"), dict.fromkeys(range(40), 0.0))),
    }
    | {
        f"few labels, {column}, {row} less {other}": (
            2,
            lambda column=column, row=row, other=other: pair("repb-table8.digits", column, row, other, 5),
        )
        for column in ("CIFAR-100 FixMatch", "Yelp FlexMatch", "ESC-50 Dash")
        for row, other in (("RePB", "Full"), (UNWEIGHED, "RePB"))
    }
    | {
        f"small, {stem} {column} {row} less {other}": (
            digits,
            lambda stem=stem, column=column, row=row, other=other: pair(stem, column, row, other, 3),
        )
        for digits, stem, column, row, other in (
            (1, "table1.small", "captioning", "BLS-InfoBatch", "Full"),
            (2, "table1.small", "MJ+ST text recognition", "BLS-InfoBatch", "Full"),
            (2, "table4.small", "WHU-MVS stereo", "BLS-InfoBatch", "Full"),
            (3, "infobatch-table9.small", "Alpaca", "Ours: BLS-InfoBatch", "Full"),
            (2, "repb-table8.small", "EuroSAT ViT", "Ours: BLS-RePB", "Full"),
            (2, "repb-table8.small", "AG News BERT", "Ours: BLS-RePB", "Full"),
            (2, "repb-table8.small", "ESC-50 HuBERT", "Ours: BLS-RePB", "Full"),
            (2, "repb-table8.small", "CIFAR-100 FixMatch", FIFTH, "Full"),
        )
    }
    | {
        f"all labels, {row}": (2, lambda row=row: pair("repb-table8.digits", "AG News BERT", row, "Full", 5))
        for row in ("RePB", UNWEIGHED)
    }
    | {
        f"wrong labels, {scorer}": (2, lambda scorer=scorer: beside_random("noise", scorer, rate="90"))
        for scorer in ("per_sample", "kalman", "bls7")
    }
    | {
        f"small CNN, {setting}, {pruner}, {scorer}": (
            2,
            lambda setting=setting, pruner=pruner, scorer=scorer: beside_random(
                setting, scorer, pruner=pruner, model="cnn"
            ),
        )
        for setting, pruner, scorers in (
            (
                "cifar_tail",
                "selective_backprop",
                ("per_sample", "kalman", "kalman_classes", "centered", "bls5", "bls7", "stale", "rarity"),
            ),
            ("cifar_noise", "selective_backprop", ("per_sample", "kalman", "bls7")),
            ("cifar_tail", "seta", ("per_sample", "bls7")),
            ("cifar_tail", "infobatch", ("bls7",)),
            ("tail50", "selective_backprop", ("kalman", "kalman_classes")),
            ("duplicates", "selective_backprop", ("kalman_classes",)),
            ("cluster", "selective_backprop", ("kalman_classes",)),
        )
        for scorer in scorers
    }
    | {
        f"tail, {pruner}": (2, lambda pruner=pruner: beside_random("tail50", "bls7", pruner=pruner))
        for pruner in ("seta", "infobatch", "repb", "importance")
    }
    | {
        f"tail, {pruner}, {scorer}, {rate}% pruned": (
            2,
            lambda cell=(scorer, pruner, rate): beside_random(
                "tail50", cell[0], pruner=cell[1], rate=cell[2]
            ),
        )
        for scorer, pruner, rate in (
            ("bls7", "seta", "70"),
            ("bls7", "importance", "70"),
            ("bls9", "selective_backprop", "90"),
        )
    }
    | {
        f"wrong labels, {pruner}": (
            2,
            lambda pruner=pruner: tuple(
                scored("noise", scorer, pruner=pruner) for scorer in ("per_sample", "random_per_sample")
            ),
        )
        for pruner in ("importance", "seta", "infobatch")
    }
    | {
        f"{setting} {scorer}": (2, lambda setting=setting, scorer=scorer: beside_random(setting, scorer))
        for setting, scorers in (
            ("tail50", ("per_sample", "kalman", "kalman_classes", "bls7", "bls9", "stale", "rarity")),
            ("duplicates", ("per_sample", "kalman", "kalman_classes", "bls7", "stale", "rarity")),
            ("cluster", ("per_sample", "kalman", "kalman_classes", "bls7")),
            ("tail10", ("kalman",)),
            ("noise", ("per_sample",)),
        )
        for scorer in scorers
    }
    | {
        f"{setting} over the clock": (
            2,
            lambda setting=setting: (scored(setting, "bls7"), scored(setting, "stale")),
        )
        for setting in ("tail50", "duplicates")
    }
)


@pytest.mark.parametrize("name", FINDINGS)
def test_the_findings_tell_what_the_records_say(name):
    digits, measured = FINDINGS[name]
    mean, low, high, n = interval(*measured())
    told = f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}] (n={n})"
    assert told in (ROOT / "docs" / "findings.md").read_text(), told


def test_every_interval_of_the_findings_is_recomputed():
    told = {
        "{1:+.{0}f} [{2:+.{0}f}, {3:+.{0}f}] (n={4})".format(digits, *interval(*measured()))
        for digits, measured in FINDINGS.values()
    }
    text = (ROOT / "docs" / "findings.md").read_text()
    written = set(re.findall(r"[+-][\d.]+ \[[+-][\d.]+, [+-][\d.]+\] \(n=\d+\)", text))
    assert written == told


def test_what_the_findings_call_lossless_is_lossless_in_its_table():
    with (RESULTS / "tables" / "table2.digits.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["column"] == "CIFAR-100 30%"]
    assert [row["verdict"] for row in rows if row["method"] == "Random* (dynamic)"] == ["lossless"]


def test_pairing_is_worth_what_the_page_on_tables_says():
    found = map(json.loads, (RESULTS / "scores" / "cells.jsonl").read_text().splitlines())
    cells = {}
    for one in found:
        assert one["seeds"] == list(range(40))
        cells[frozenset(one["cell"].items())] = one["values"]["balanced_accuracy"]
    shares = []
    for cell, ours in cells.items():
        random = cells.get(frozenset((dict(cell) | {"scorer": "random"}).items()))
        if random is not None and random is not ours:
            paired = variance([one - other for one, other in zip(ours, random, strict=True)])
            shares.append(paired / (variance(ours) + variance(random)))
    told = f"its {len(shares)} comparisons with random scores of 40 seeds each, the variance of the paired "
    told += f"differences is on average {fmean(shares):.2f} of"
    assert told in (ROOT / "docs" / "tables.md").read_text(), told
