"""BLS Table 9 and RePB Table 11: measured, kept, and set beside what the papers print."""

import json

import pytest

from bls_bench.bench import overhead as measuring
from bls_bench.experiments import spec
from bls_bench.report import overhead, render
from bls_bench.report.output import render_all
from bls_bench.system.errors import InputError
from tests.report.helpers import ENVIRONMENT

COSTS = {
    "schema": 1,
    "samples": 500_000,
    "batch_size": 100,
    "image_size": 32,
    "repeats": 5,
    "overhead_seconds": {"InfoBatch": 0.05, "RePB": 0.04, "Control: no pruning": 0.03},
    "step_seconds": {"resnet18": 0.1, "resnet50": 0.4},
    "load": 1.2,
    "environment": ENVIRONMENT,
}


def test_the_table_is_exactly_as_expected():
    table = spec.load("repb-table11", "paper")
    lines = render.markdown(overhead.of_costs(table, COSTS)).splitlines()
    assert lines[:6] == [
        "**Backbones for 10^6 samples: ResNet-18 1000 s here, 734.1s published; "
        "ResNet-50 4000 s here, 2122.4s published**",
        "",
        "| Method | Overhead s | Published | ResNet-18 P/B % | Published | ResNet-50 P/B % | Published |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| InfoBatch | 0.1 | 0.236 (RePB T11) | 0.01 | 0.032 (RePB T11) | 0.0025 | 0.011 (RePB T11) |",
        "| RePB | 0.08 | 0.082 (RePB T11) | 0.008 | 0.011 (RePB T11) | 0.002 | 0.004 (RePB T11) |",
    ]
    assert any(": BLS-RePB." in line for line in lines)
    assert lines[-1].endswith("The load average was at most 1.2 with 1 threads of our own.")


def test_a_machine_that_was_not_quiet_is_told_of():
    section = overhead.of_costs(spec.load("table9", "digits"), COSTS | {"load": 1.6})
    assert section.remarks[-1] == "The machine was NOT quiet: load average 1.6, 1 threads of our own."


@pytest.mark.parametrize("name", ["table9", "repb-table11"])
def test_every_row_is_measured_and_every_paper_row_has_its_values(name):
    rows = spec.load(name, "digits").rows
    assert {row.label for row in rows} <= set(measuring.METHODS)
    full = COSTS | {"overhead_seconds": dict.fromkeys(measuring.METHODS, 0.1)}
    for line, row in zip(overhead.of_costs(spec.load(name, "digits"), full).lines, rows, strict=True):
        assert None not in line.values()
        printed = [value for column, value in line.items() if "published" in column]
        assert all(printed) if row.published else not any(printed)


def test_it_is_measured_once_on_a_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measuring, "BACKBONES", ("resnet20",))
    monkeypatch.setattr(overhead, "BACKBONES", (("resnet20", "", ""),))
    monkeypatch.setattr(measuring, "BATCH_SIZE", 8)
    monkeypatch.setattr(measuring.gc, "collect", lambda: None)
    file = overhead.path(tmp_path)
    measuring.measure_once(file, num_samples=1000, repeats=1)
    costs = overhead.read(file)
    assert costs.keys() == COSTS.keys()
    assert costs["overhead_seconds"].keys() == measuring.METHODS.keys()
    times = [*costs["overhead_seconds"].values(), *costs["step_seconds"].values()]
    assert all(0 < seconds < 60 for seconds in times)
    text = file.read_text()
    measuring.measure_once(file)
    assert file.read_text() == text
    costs["environment"]["device_name"] = "another"
    file.write_text(json.dumps(costs))
    measuring.measure_once(file, num_samples=1000, repeats=1)
    assert "is of another: measuring again" in capsys.readouterr().out
    assert overhead.read(file)["environment"]["device_name"] != "another"


@pytest.mark.parametrize("name", ["load", "environment", "overhead_seconds"])
def test_a_record_that_lacks_something_is_named(tmp_path, name):
    overhead.path(tmp_path).write_text(json.dumps({key: COSTS[key] for key in COSTS if key != name}))
    with pytest.raises(InputError, match=rf"overhead.json does not say {name}"):
        overhead.read(overhead.path(tmp_path))


def test_what_its_environment_lacks_is_no_reason_to_delete_the_results(tmp_path):
    costs = COSTS | {"environment": {key: ENVIRONMENT[key] for key in ENVIRONMENT if key != "threads"}}
    overhead.path(tmp_path).write_text(json.dumps(costs))
    with pytest.raises(InputError, match=r"does not say threads as it should: delete it to measure again$"):
        overhead.read(overhead.path(tmp_path))


def test_seconds_of_a_cpu_are_not_set_against_those_of_a_gpu():
    table = spec.load("table9", "digits")
    assert overhead.ON_CPU in overhead.of_costs(table, COSTS).remarks
    on_gpu = COSTS | {"environment": ENVIRONMENT | {"device": "cuda:0"}}
    assert overhead.COMPARABLE in overhead.of_costs(table, on_gpu).remarks


def test_schemas_agree():
    assert overhead.SCHEMA == measuring.SCHEMA
    assert [key for key, *_ in overhead.BACKBONES] == [*measuring.BACKBONES]


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 9}'])
def test_a_damaged_record_is_named_and_the_rest_is_rendered(tmp_path, text):
    overhead.path(tmp_path).write_text(text)
    with pytest.raises(InputError, match="overhead.json is no measurement of schema 1"):
        overhead.read(overhead.path(tmp_path))
    wanted = [spec.load("table9", "digits")]
    (problem,) = render_all(tmp_path, wanted)
    assert "overhead.json is no measurement" in problem
    overhead.path(tmp_path).write_text(json.dumps(COSTS))
    assert render_all(tmp_path, wanted) == []
    assert {file.name for file in (tmp_path / "tables").iterdir()} == {
        "table9.md",
        "table9.tex",
        "table9.csv",
    }
    overhead.path(tmp_path).unlink()
    (problem,) = render_all(tmp_path, wanted)
    assert problem == "table9: nothing run yet, try make table9"
    # The page is the same whichever tables were wanted.
    assert problem not in (tmp_path / "README.md").read_text()
