"""Tables of a metric that is no percentage, and better when lower."""

import csv
import io
from dataclasses import replace

import pytest

from bls_bench.experiments import spec
from bls_bench.experiments.sweep import cell_keys
from bls_bench.records.schema import Metric
from bls_bench.report import cells, effects, figures, numbers, render, statistics, table_page
from bls_bench.report.runs import Runs
from bls_bench.report.section import of_runs
from bls_bench.system.errors import InputError
from tests.report.helpers import ACCURACY, use_fixture_tables, write_record

MSE = Metric("mse", "lower", "", 0.001)
FULL, METHOD = (0.0251, 0.0249, 0.0252), (0.0351, 0.0342, 0.0349)


@pytest.fixture
def table(monkeypatch):
    use_fixture_tables(monkeypatch)
    return spec.load("mini", "digits")


def built(folder, table, metric=MSE, others=()):
    """Return the cells of Full and InfoBatch in three seeds, and of InfoBatch in another column."""
    keys = {}
    for label, values in (("Full", FULL), ("InfoBatch", METHOD)):
        keys[label, "ResNet-18"] = {seed: f"{label}{seed}" for seed in range(3)}
        for seed, value in enumerate(values):
            write_record(folder, f"{label}{seed}", value, metric=metric)
    for value in others:
        keys["InfoBatch", "ResNet-50"] = {0: "other"}
        write_record(folder, "other", value)
    return cells.build(table, keys, Runs(folder))


def test_a_cell_says_which_way_is_up(tmp_path, table):
    section = of_runs(table, built(tmp_path, table))
    block = section.blocks[0]
    assert block.header[1] == section.blocks[1].header[1] == "Mse"
    assert block.lines[0][1] == "0.02507 ± 0.00015 (n=3)"
    assert block.lines[1][5:7] == ["+0.00967 [+0.00879, +0.0105]", "worse"]
    assert "Margin of the verdict: 0.001." in section.remarks
    assert "Lower values are better: Mse." in section.legend


def test_without_a_margin_it_says_nothing(tmp_path, table):
    section = of_runs(table, built(tmp_path, table, MSE._replace(margin=None)))
    assert section.blocks[0].lines[1][6] == ""
    assert not any("Margin" in remark for remark in section.remarks)


def test_a_margin_of_the_table_goes_before_the_metrics_own(tmp_path, table):
    section = of_runs(table, built(tmp_path, replace(table, margin=0.1)))
    assert section.blocks[0].lines[1][6] == "lossless"
    assert "Margin of the verdict: 0.1." in section.remarks


def test_the_csv_names_the_metric(tmp_path, table):
    section = of_runs(table, built(tmp_path, table, others=[78.0]))
    lines = list(csv.DictReader(io.StringIO(render.as_csv(section))))
    assert lines[1]["mse_last"] == "0.034733"
    assert lines[1]["accuracy_last"] == ""
    (other,) = (line for line in lines if line["column"] == "ResNet-50" and line["n"] == "1")
    assert (other["mse_last"], other["accuracy_last"]) == ("", "78.0")


def test_columns_of_different_metrics_are_headed_each_by_its_own(tmp_path, table):
    section = of_runs(table, built(tmp_path, table, others=[78.0]))
    assert [block.header[1] for block in section.blocks] == ["Mse", "Accuracy %"]
    text = render.latex(section)
    assert text.count(r"Method & Mse &") == text.count(r"Method & Accuracy \% &") == 1
    assert "- Mse, Accuracy: after the last epoch" in table_page.table_page(section)


def test_the_axes_say_what_is_drawn(tmp_path, table):
    drawn = figures.curves(table, "ResNet-18", built(tmp_path, table))
    assert drawn.axes[0].get_ylabel() == "Test mse"
    assert drawn.axes[0].lines[0].get_ydata()[-1] == pytest.approx(sum(FULL) / 3)


@pytest.fixture
def judged(tmp_path, table):
    """Return the table with a second column of the same runs, judged by another metric, and its cells."""
    column = table.columns[0]
    two = replace(table, columns=[column, replace(column, label="errors", metric="mse")])
    keys = {}
    for label, values, errors in (("Full", (78, 77, 79), FULL), ("InfoBatch", (78, 78, 78), METHOD)):
        runs = {seed: f"{label}{seed}" for seed in range(3)}
        keys[label, column.label] = keys[label, "errors"] = runs
        for (key, value), error in zip(zip(runs.values(), values, strict=True), errors, strict=True):
            told = [ACCURACY._asdict(), MSE._asdict()]
            curves = {"mse": [1.0, error]}
            write_record(
                tmp_path, key, value, pruned=30.0, metrics=told, mse_last=error, mse_best=error, curves=curves
            )
    return two, keys, Runs(tmp_path)


def test_a_column_may_be_judged_by_another_metric_of_the_same_runs(judged):
    table, keys, runs = judged
    section = of_runs(table, cells.build(table, keys, runs))
    assert [block.header[1] for block in section.blocks[:2]] == ["Accuracy %", "Mse"]
    assert [block.lines[1][1] for block in section.blocks[:2]] == [
        "78.00 ± 0.00 (n=3)",
        "0.03473 ± 0.00047 (n=3)",
    ]
    assert section.blocks[1].lines[1][6] == "worse"


def test_what_is_judged_twice_counts_twice(judged):
    found = effects.against_full(judged[0], cells.build(*judged))
    assert [one.cell.metric for one in effects.distinct(found)] == [ACCURACY, MSE]


def test_a_metric_that_the_runs_do_not_have_is_named(judged):
    table, keys, runs = judged
    wrong = replace(table, columns=[replace(table.columns[0], metric="fid")])
    with pytest.raises(InputError, match="metric fid of a column is none of its runs', which have accuracy"):
        cells.build(wrong, keys, runs)
    found, problems = cell_keys(wrong, [0])
    assert found == {}
    assert "metric fid is none of its task's, which are accuracy" in problems[0]


@pytest.mark.parametrize(
    ("metric", "title", "label", "told"),
    [
        (ACCURACY, "Accuracy", "Accuracy %", "-0.50"),
        (Metric("mAP", "higher", "%"), "mAP", "mAP %", "-0.50"),
        (Metric("mse", "lower"), "Mse", "Mse", "-0.5"),
        (Metric("fid_own", "lower"), "Fid own", "Fid own", "-0.5"),
        (None, "Result", "Result", "-0.50"),
    ],
)
def test_how_a_metric_is_written(metric, title, label, told):
    assert (numbers.title(metric), numbers.label(metric)) == (title, label)
    assert numbers.difference(-0.5, metric) == told


def test_no_difference_loses_itself_in_rounding():
    assert numbers.difference(-0.000123456, MSE) == "-0.000123"
    assert numbers.difference(0.0, MSE) == "+0"


@pytest.mark.parametrize(
    ("value", "told"), [(1.2345, "+1.23"), (-999.6, "-1000"), (1234.5, "+1234"), (99.94, "+99.9")]
)
def test_a_large_number_has_no_exponent(value, told):
    assert numbers.difference(value, MSE) == told
    assert numbers.spread(statistics.Spread(2551.2, 103.7, 3), MSE) == "2551 ± 104 (n=3)"
