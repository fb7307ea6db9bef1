"""What the bookkeeping of pruning costs beside a training step, from the record of its measurement."""

import json
from pathlib import Path
from typing import Any

from bls_bench.experiments import published
from bls_bench.experiments.published import Published
from bls_bench.experiments.spec import Row, Table
from bls_bench.records.schema import environment_fault
from bls_bench.report.cells import MISSING
from bls_bench.report.runs import machine
from bls_bench.report.section import Block, Section, doubts, versions
from bls_bench.system.errors import InputError

# The version of the record that this module reads: overhead.SCHEMA, not imported since that needs torch.
SCHEMA = 1
# A machine is quiet while the load average is at most the own threads and this much more.
SPARE_LOAD = 0.5
AGAIN = "delete it to measure again"
CONTENT = ("samples", "batch_size", "image_size", "repeats", "overhead_seconds", "load", "environment")
MILLION = 10**6
# The names of a backbone in the record, in the papers' values and in the table.
BACKBONES = (("resnet18", "ResNet18", "ResNet-18"), ("resnet50", "ResNet50", "ResNet-50"))
# The row of an epoch that keeps all samples.
NOTHING = "Control: no pruning"
HEADER = ("Method", "Overhead s", "Published")
TERMS = (
    "Overhead: seconds of an epoch's bookkeeping (selection, each batch's record, scoring) for 10^6 samples.",
    "P/B: overhead as a share of the backbone's time for 10^6 samples, forward, backward, optimizer step.",
    "Overhead is to be read beside the control: an epoch that prunes nothing shuffles and records as well.",
)
COMPARABLE = "Between machines compare P/B, not seconds."
ON_CPU = "The backbones ran on a CPU, which makes P/B small: it cannot be set against that of a GPU."


def path(results: Path) -> Path:
    return results / "overhead.json"


def read(file: Path) -> dict[str, Any]:
    """Read the record; raises InputError naming a file that is none, or of another version."""
    try:
        costs = json.loads(file.read_text())
        known = costs["schema"] == SCHEMA
    except (ValueError, TypeError, KeyError):
        known = False
    if not known:
        raise InputError(f"{file} is no measurement of schema {SCHEMA}: {AGAIN}")
    lacking = [name for name in CONTENT if name not in costs]
    lacking += [key for key, *_ in BACKBONES if key not in costs.get("step_seconds", ())]
    if lacking:
        raise InputError(f"{file} does not say {', '.join(lacking)}: {AGAIN}")
    fault = environment_fault(costs["environment"])
    if fault:
        raise InputError(f"{file} {fault}: {AGAIN}")
    return costs


def of_costs(table: Table, costs: dict[str, Any]) -> Section:
    """Return the section of a table from the costs that were measured."""
    values = {row.label: _published(table, row) for row in table.rows}
    lines = [_line(row, values[row.label], costs) for row in table.rows]
    header = [*HEADER, *(name for *_, label in BACKBONES for name in (f"{label} P/B %", "Published"))]
    return Section(
        table=table,
        stem=table.stem,
        heading=table.heading,
        finding=_finding(lines),
        blocks=[Block(_caption(values, costs), header, [list(map(_text, line.values())) for line in lines])],
        legend=(),
        remarks=[*TERMS, table.note, ON_CPU if _on_cpu(costs) else COMPARABLE, _load(costs)],
        doubts=doubts(value for row in values.values() for value in row.values()),
        lines=lines,
        command=table.command,
        provenance=[
            f"{costs['samples']} samples in batches of {costs['batch_size']}, the best of {costs['repeats']} "
            f"epochs; backbones on {costs['image_size']} pixels, the best of {costs['repeats']} steps.",
            f"Machine: {machine(costs['environment'])}, device {costs['environment']['device']}, "
            f"{costs['environment']['threads']} threads.",
            versions([costs["environment"]]),
        ],
    )


def _finding(lines: list[dict[str, Any]]) -> str:
    known = {
        line["method"]: line["overhead_seconds"] for line in lines if line["overhead_seconds"] is not None
    }
    control = known.pop(NOTHING, None)
    if not known:
        return "No overhead was measured."
    beside = "" if control is None else f", {control:.2g} s where nothing is pruned"
    return (
        f"An epoch's bookkeeping for 10^6 samples takes {min(known.values()):.2g} to "
        f"{max(known.values()):.2g} s{beside}."
    )


def _published(table: Table, row: Row) -> dict[str, Published]:
    """Return the published values of a row by the model, "" for the overhead itself."""
    if row.published is None:
        return {}
    return {value.model: value for value in published.find(table.published | row.published)}


def _line(row: Row, values: dict[str, Published], costs: dict[str, Any]) -> dict[str, Any]:
    seconds = costs["overhead_seconds"].get(row.label)
    own = None if seconds is None else seconds * MILLION / costs["samples"]
    line = {"method": row.label, "overhead_seconds": own, "published_seconds": _printed(values.get(""))}
    for key, model, _ in BACKBONES:
        line[f"{key}_percent"] = None if own is None else 100 * own / _backbone(costs, key)
        line[f"{key}_published"] = _printed(values.get(model))
    return line


def _backbone(costs: dict[str, Any], key: str) -> float:
    """Return a backbone's seconds for 10^6 samples."""
    return costs["step_seconds"][key] * MILLION / costs["batch_size"]


def _printed(value: Published | None) -> str:
    return f"{value.text} ({value.source})" if value else ""


def _text(value: float | str | None) -> str:
    if value is None:
        return MISSING
    return value if isinstance(value, str) else f"{value:.2g}"


def _caption(values: dict[str, dict[str, Published]], costs: dict[str, Any]) -> str:
    told = []
    for key, model, label in BACKBONES:
        printed = {row[model].setting.removeprefix("backbone ") for row in values.values() if model in row}
        told.append(f"{label} {_backbone(costs, key):.0f} s here, {' or '.join(sorted(printed))} published")
    return f"Backbones for 10^6 samples: {'; '.join(told)}"


def _on_cpu(costs: dict[str, Any]) -> bool:
    return costs["environment"]["device"].startswith("cpu")


def _load(costs: dict[str, Any]) -> str:
    load, threads = costs["load"], costs["environment"]["threads"]
    if load <= threads + SPARE_LOAD:
        return f"The load average was at most {load:.1f} with {threads} threads of our own."
    return f"The machine was NOT quiet: load average {load:.1f}, {threads} threads of our own."
