"""What the cards of the methods tell of our tables is what the tables say."""

import csv
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CARDS = {card.stem: card.read_text() for card in sorted((ROOT / "docs" / "methods").glob("*.md"))}
TOLD = {
    name: line for name, text in CARDS.items() for line in re.findall(r"^\*\*In our tables.*", text, re.M)
}
RATES = tuple([f"{name}{rate}%" for rate in (30, 50, 70)] for name in ("CIFAR-100 ", ""))
NUMBERS = re.compile(
    r"\d+\.\d / \d+\.\d / \d+\.\d|\d+\.\d on full data"
    r"|\d+\.\d ± \d+\.\d%(?: at \d+% pruned \(score~loss \d+\.\d+\))?"
)


@cache
def rows(stem):
    """The rows of a table that were run, by their label, each by column."""
    found = {}
    with (ROOT / "results" / "tables" / f"{stem}.csv").open() as file:
        for row in csv.DictReader(file):
            if int(row["n"]):
                found.setdefault(row["method"], {})[row["column"]] = row
    return found


def by_rate(stem):
    """Yield the accuracies of each row at three rates and at none, with the seeds behind them."""
    for columns in rows(stem).values():
        wanted = next(
            ([columns[name] for name in names] for names in RATES if columns.keys() >= set(names)), []
        )
        if wanted:
            texts = [f"{float(row['accuracy_last']):.1f}" for row in wanted]
            seeds = {int(row["n"]) for row in wanted}
            yield " / ".join(texts), seeds
            yield f"{texts[0]} on full data", seeds


def by_row(stem):
    """Yield accuracy, spread, pruned % and correlation of each row of the first column, with its seeds."""
    for columns in rows(stem).values():
        if row := columns.get("ResNet-18"):
            text = f"{float(row['accuracy_last']):.1f} ± {float(row['accuracy_last_std']):.1f}%"
            if row["score_loss_correlation"]:
                text += f" at {float(row['pruned_percent']):.0f}% pruned"
                text += f" (score~loss {float(row['score_loss_correlation']):.2f})"
            yield text, {int(row["n"])}


def test_most_methods_have_a_line():
    assert len(TOLD) > 30


@pytest.mark.parametrize("name", TOLD)
def test_cards_tell_what_the_tables_say(name):
    line = TOLD[name]
    stems = re.findall(r"tables/([\w-]+\.\w+)\.md", line)
    if "InfoBatch Table 1" in line:
        stems.append("infobatch-table1.digits")
    seeds = {int(number) for number in re.findall(r"(\d+) seeds", line)}
    known = {text for stem in stems for text, n in (*by_rate(stem), *by_row(stem)) if n <= seeds}
    told = NUMBERS.findall(line)
    assert told
    assert [text for text in told if text not in known] == []


def test_costs_are_those_of_the_page_that_they_link_to():
    page = (ROOT / "docs" / "performance.md").read_text()
    told = [
        (name, cost)
        for name, text in CARDS.items()
        for line in re.findall(r"^\*\*Cost:.*on 2 cores of an AMD EPYC.*", text, re.M)
        for cost in re.findall(r"(\d[\d.]*) ms", line)
    ]
    assert len(told) > 10
    assert [one for one in told if f"| {one[1]} |" not in page] == []
