"""Rendered files, exactly, from a small committed set of records; and the page in a browser."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import bls_bench
from bls_bench.experiments import manifest, spec
from bls_bench.records.archive import RUNS, Archive
from bls_bench.report import cells, figures, numbers
from bls_bench.report.figures import predicted_correlation
from bls_bench.report.output import render_all
from bls_bench.report.runs import Runs
from bls_bench.tables import main as tables_command
from tests.report.helpers import EXPECTED, FIXTURE, archived, use_fixture_tables, write_record


def tables():
    return [spec.load(name, "digits") for name in ("mini", "curve")]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder with the fixture's records and manifests, nothing rendered yet."""
    use_fixture_tables(monkeypatch)
    return shutil.copytree(FIXTURE, tmp_path / "results")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The same, rendered once."""
    folder = shutil.copytree(FIXTURE, tmp_path_factory.mktemp("rendered") / "results")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_fixture_tables(monkeypatch)
        assert render_all(folder, tables()) == []
    return folder


@pytest.mark.parametrize("name", ["mini.digits.md", "mini.digits.tex", "mini.digits.csv", "README.md"])
def test_files_are_exactly_as_expected(rendered, name):
    # A missing cell, a column without a stand-in, papers that disagree, one seed only.
    (file,) = rendered.rglob(name)
    assert file.read_text() == (EXPECTED / name).read_text()


def test_rendering_again_changes_no_byte(rendered, results):
    render_all(results, tables())
    files = [path.relative_to(results) for path in sorted(results.rglob("*")) if path.is_file()]
    assert all((results / file).read_bytes() == (rendered / file).read_bytes() for file in files)
    assert {"curve.digits.png", "curve.digits.pdf", "report.html"} <= {file.name for file in files}


def test_a_damaged_record_costs_its_own_cell_only(results):
    file = results / "digits" / RUNS
    file.write_text(file.read_text().replace('"info1"', '"info9"'))
    problems = render_all(results, tables())
    assert len(problems) == 1
    assert f"{file}, line 6: damaged" in problems[0]
    text = (results / "README.md").read_text()
    assert problems[0] in text
    text = (results / "tables" / "mini.digits.md").read_text()
    assert "| Full | 78.17 ± 0.21 (n=3)" in text
    assert "(n=2) of 3 seeds" in text


def test_tables_without_records_are_told_of_and_do_not_stop_the_others(results):
    shutil.rmtree(results / "digits")
    manifest.path(results, "curve", "digits").write_text("[{]")
    problems = render_all(results, [*tables(), spec.load("mini", "paper")])
    assert [problem.partition(":")[0] for problem in problems] == [
        f"{manifest.path(results, 'curve', 'digits')} is not a manifest",
        "mini.digits",
        "mini.paper",
    ]
    assert "Not run: ResNet-18" in (results / "tables" / "mini.digits.md").read_text()


def test_no_zero_has_a_sign():
    assert [numbers.signed(value) for value in (-0.001, 0.001, -0.01, None)] == [
        "+0.00",
        "+0.00",
        "-0.01",
        "",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mini", "--scale", "huge"], "SCALE=huge is unknown, allowed are digits, small, gpu, paper"),
        (["table99"], "table99 is no table here, there are curve, mini"),
        (["mini", "--seeds", "0-4"], "SEEDS=0-4 must be whole numbers"),
    ],
)
def test_the_command_refuses_bad_input_in_one_line(results, monkeypatch, capsys, arguments, words):
    monkeypatch.setattr("sys.argv", ["bls_bench.tables", *arguments, "--results", str(results)])
    with pytest.raises(SystemExit) as stopped:
        tables_command()
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_the_command_renders_and_trains_nothing(results, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bls_bench.tables", "--render", "--results", str(results)])
    with pytest.raises(SystemExit) as stopped:
        tables_command()
    assert stopped.value.code == 0
    assert (results / "tables" / "mini.digits.md").exists()
    assert str(results / "report.html") in capsys.readouterr().out


def test_rendering_loads_no_torch_which_takes_seconds():
    code = "import sys, bls_bench.report.output; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_loaded_when_asked_for():
    assert set(bls_bench.__all__) <= set(dir(bls_bench))
    assert all(getattr(bls_bench, name).__name__ == name for name in bls_bench.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Bls'"):
        _ = bls_bench.Bls


def test_time_saved_is_told_only_of_one_machine_and_long_runs(results, monkeypatch):
    def saving():
        table = spec.load("mini", "digits")
        keys = manifest.read(manifest.path(results, "mini", "digits"))
        return cells.build(table, keys, Runs(results / "digits"))["ResNet-18"][1]

    assert round(saving().saving) == 30
    with monkeypatch.context() as patch:
        patch.setattr(cells, "MIN_CPU_SECONDS", 11)  # full data takes 10
        assert saving().saving is None
    run = Archive(results / "digits").get("info2")
    Archive(results / "digits").append(
        replace(run, environments=[run.environments[0] | {"device_name": "another"}])
    )
    assert saving().saving is None
    assert saving().texts()[7] == "34% published"


def test_accuracy_over_the_rate_is_drawn_where_it_was_reached(tmp_path):
    table = spec.load("repb-fig2", "digits")
    keys = {(row.label, column.label): {0: "full"} for row in table.rows[:1] for column in table.columns}
    for number, column in enumerate(table.columns[:2]):
        keys["InfoBatch", column.label] = {0: f"run{number}"}
        write_record(tmp_path, f"run{number}", 70.0 - number, pruned=28.0 + 11 * number)
    write_record(tmp_path, "full", 75.0)
    (axes,) = figures.draw(table, cells.build(table, keys, Runs(tmp_path))).axes
    assert axes.get_legend_handles_labels()[1] == ["full data", "InfoBatch"]
    points = axes.containers[0].lines[0].get_xydata().tolist()
    assert points == [[28.0, 70.0], [39.0, 69.0]]


def test_dashed_lines_are_explained(results):
    table = spec.load("curve", "digits")
    built = cells.build(
        table, manifest.read(manifest.path(results, "curve", "digits")), Runs(results / "digits")
    )
    drawn = figures.over_setting(table, built), figures.correlation(table, built)
    legends = drawn[0].legends[0], drawn[1].axes[0].get_legend()
    words = "full data", "predicted: 1/sqrt(1 + (B-1)(1-alpha)/(1+alpha))"
    for figure, legend, told in zip(drawn, legends, words, strict=True):
        axes = figure.axes[0]
        assert told in [text.get_text() for text in legend.get_texts()]
        assert any(line.get_linestyle() == "--" and len(line.get_xdata()) for line in axes.lines)


def test_prediction_of_the_correlation():
    assert predicted_correlation(0.7, 128) == pytest.approx(0.21, abs=0.005)
    assert predicted_correlation(0.3, 1) == predicted_correlation(1.0, 128) == 1.0


def test_the_predicted_correlation_is_that_of_the_batch_of_one_process(tmp_path, monkeypatch):
    use_fixture_tables(monkeypatch)
    table, run = spec.load("curve", "digits"), archived("a")
    Archive(tmp_path).append(replace(run, environments=[run.environments[0] | {"processes": 4}]))
    built = cells.build(table, {("alpha 0.5", "ResNet-18"): {0: "a"}}, Runs(tmp_path))
    (dashed,) = [
        line for line in figures.correlation(table, built).axes[0].lines if line.get_linestyle() == "--"
    ][:1]
    assert list(dashed.get_ydata()) == [predicted_correlation(0.5, 32 // 4)] * 2


class Page(HTMLParser):
    """Counts tables, and collects whatever a page would load."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.loads = 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tables += tag == "table"
        self.loads += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_stands_alone(rendered):
    page = Page((rendered / "report.html").read_text())
    assert page.tables == 2  # nothing was run of a third
    assert page.loads
    assert all(re.match("data:image/png;base64,|#", value) for value in page.loads)


def test_the_page_has_curves_of_accuracy_pruned_share_and_scores_against_losses(rendered, results):
    assert (rendered / "report.html").read_text().count("over the epochs</h3>") == 2
    table = spec.load("mini", "digits")
    built = cells.build(
        table, manifest.read(manifest.path(results, "mini", "digits")), Runs(results / "digits")
    )
    panels = figures.curves(table, "ResNet-18", built).axes
    assert [panel.get_ylabel() for panel in panels] == ["Test accuracy %", *figures.CURVES.values()]
    line = panels[0].lines[0]
    full = [Runs(results / "digits").get(f"full{seed}").curves["accuracy"] for seed in range(3)]
    means = [sum(values) / 3 for values in zip(*full, strict=True)]
    assert line.get_label() == "Full"
    assert line.get_ydata() == pytest.approx(means)


def test_the_page_opens_in_a_browser(rendered, tmp_path):
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    done = subprocess.run(
        [browser, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
         (rendered / "report.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert Page(done.stdout).tables == 2  # nothing was run of a third
    assert "CONSOLE" not in done.stderr
