"""Render tables and figures into the results folder, from manifests and records alone."""

from collections.abc import Iterable
from pathlib import Path

from matplotlib import pyplot as plt

from bls_bench.experiments import manifest, spec
from bls_bench.experiments.spec import Table
from bls_bench.report import cells, overhead, page, render, section
from bls_bench.report.runs import Runs
from bls_bench.report.section import Section
from bls_bench.system.errors import InputError


def render_all(results: Path, records: Path, wanted: Iterable[Table]) -> list[str]:
    """Write the files of the wanted tables, and the two pages that show all there are.

    Returns a line for each record or manifest that could not be used; the other cells are rendered.
    """
    runs, problems, sections = Runs(records), [], []
    wanted = {table.stem: table for table in wanted}
    for table in _made(results):
        is_wanted = wanted.pop(table.stem, None) is not None
        try:
            shown = _section(results, table, runs)
        except InputError as error:
            if str(error) not in problems:
                problems.append(str(error))
            continue
        sections.append(shown)
        if shown.empty:
            problems.append(f"{table.stem}: no finished run in {records}")
        if is_wanted:
            _write(results, shown)
    problems += [f"{stem}: nothing run yet, try {table.command}" for stem, table in sorted(wanted.items())]
    problems += runs.problems
    results.mkdir(parents=True, exist_ok=True)
    (results / "README.md").write_text(page.readme(sections, problems))
    (results / "report.html").write_text(page.html(sections, problems))
    return problems


def _made(results: Path) -> list[Table]:
    """Return the tables of which something was run, first those of the smallest scale."""
    made = {}
    for scale in spec.SCALES:
        for name in spec.names():
            table = spec.load(name, scale)
            if _source(results, table).exists():
                made.setdefault(table.stem, table)
    return list(made.values())


def _source(results: Path, table: Table) -> Path:
    """Return the file that is there once something of the table was run."""
    if table.kind == "overhead":
        return overhead.path(results)
    return manifest.path(results, table.name, table.scale)


def _section(results: Path, table: Table, runs: Runs) -> Section:
    source = _source(results, table)
    if table.kind == "overhead":
        return overhead.of_costs(table, overhead.read(source))
    return section.of_runs(table, cells.build(table, manifest.read(source), runs))


def _write(results: Path, shown: Section) -> None:
    texts = {
        "md": render.markdown(shown) + (f"\n{' '.join(shown.legend)}\n" if shown.legend else ""),
        "tex": render.latex(shown),
        "csv": render.as_csv(shown),
    }
    folder = results / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in texts.items():
        (folder / f"{shown.stem}.{suffix}").write_text(text)
    if shown.figure:
        folder = results / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        figure = shown.figure()
        figure.savefig(folder / f"{shown.stem}.png", dpi=150, metadata={"Software": None})
        # Without a date, equal records give equal files.
        figure.savefig(folder / f"{shown.stem}.pdf", metadata={"CreationDate": None})
        plt.close(figure)
