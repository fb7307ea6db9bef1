"""The tables: the same at every scale, and every cell a run that the train command takes."""

import dataclasses
import re
from pathlib import Path

import pytest

from bls_bench.experiments import spec
from bls_bench.experiments.published import find
from bls_bench.experiments.sweep import cell_keys
from bls_bench.system.errors import InputError

NAMES = [name for name in spec.names() if spec.load(name, "digits").kind != "overhead"]
# The papers print no values for these figures, and none has the correlation.
UNPUBLISHED = {"infobatch-fig3", "correlation", "fig2"}


@pytest.mark.parametrize("name", NAMES)
def test_rows_and_columns_are_the_same_at_every_scale(name):
    tables = [spec.load(name, scale) for scale in spec.SCALES]
    for table in tables:
        assert table.rows == tables[0].rows
        assert [column.label for column in table.columns] == [column.label for column in tables[0].columns]
        labels = [row.label for row in table.rows]
        assert len(set(labels)) == len(labels)
        assert table.baseline in labels or table.kind == "correlation"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNPUBLISHED])
def test_every_row_that_names_published_values_has_some(name):
    table = spec.load(name, "paper")
    for row in table.rows:
        if row.published is not None:
            found = [find(table.published | column.published | row.published) for column in table.columns]
            assert any(found), row.label
            assert all(len(values) <= 2 for values in found), row.label


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_a_run_of_its_own(name):
    table = spec.load(name, "digits")
    column = next(column for column in table.columns if column.overrides)
    keys, problems = cell_keys(dataclasses.replace(table, columns=[column]), [0])
    assert problems == []
    # Two panels of a figure may share their middle point.
    runs = [
        (row.panel, keys[row.label, column.label][0])
        for row in table.rows
        if (row.label, column.label) in keys
    ]
    assert len(set(runs)) == len(runs) >= 1


@pytest.mark.parametrize("scale", spec.SCALES)
def test_every_column_is_a_setting_that_trains(scale):
    tables = [spec.load(name, scale) for name in NAMES]
    columns = {
        str(column.overrides): column for table in tables for column in table.columns if column.overrides
    }
    renamed = [dataclasses.replace(column, label=text) for text, column in columns.items()]
    full = spec.Row(label="Full", overrides={"pruner": "none", "scorer": "bls"})
    keys, problems = cell_keys(dataclasses.replace(tables[0], columns=renamed, rows=[full]), [0])
    assert problems == []
    assert len(keys) == len(columns)


def test_column_rates_choose_the_overrides():
    table = spec.load("table2", "paper")
    row = next(row for row in table.rows if row.label == "InfoBatch")
    rates = [table.overrides(row, column)["pruner.target"] for column in table.columns[3:]]
    assert rates == [0.3, 0.5, 0.7]
    assert table.overrides(row, dataclasses.replace(table.columns[3], rate=45)) is None


def test_a_setting_that_a_scale_lacks_is_not_run_there():
    for scale, known in (("digits", False), ("paper", True)):
        table = spec.load("repb-fig2", scale)
        row = next(row for row in table.rows if "32 batches" in row.label)
        found = table.overrides(row, table.columns[0])
        assert (found["pruner.window"] == 32) if known else found is None


def test_every_table_is_a_target_with_a_line_of_help():
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    listed = re.search(r"^TABLES := (.*?[^\\])$", text, re.MULTILINE | re.DOTALL)[1].replace("\\", "").split()
    assert sorted(listed) == spec.names()
    assert set(listed) <= set(re.findall(r"^([a-z0-9-]+): ## .", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("name", "scale", "word"), [("table8", "huge", "SCALE=huge"), ("table99", "digits", "table99")]
)
def test_unknown_names_are_refused_with_what_is_allowed(name, scale, word):
    with pytest.raises(InputError, match=word):
        spec.load(name, scale)
