"""Render tables and figures into the results folder, from manifests and records alone."""

from collections.abc import Callable, Iterable
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bls_bench.experiments import manifest, spec
from bls_bench.experiments import scores as grid
from bls_bench.experiments.spec import Table
from bls_bench.report import cells, overhead, overview, page, render, scores, section, table_page
from bls_bench.report.runs import Runs
from bls_bench.report.section import Section
from bls_bench.system.errors import InputError


def render_all(results: Path, wanted: Iterable[Table]) -> list[str]:
    """Write the files of the wanted tables, and the two pages that show all there are.

    Returns a line for each line of an archive, or manifest, that could not be used, of which the pages tell
    too; the other cells are rendered. After them comes a line for each wanted table of which nothing was run.
    """
    (sections, problems), missing = read(results), []
    stems = {section.stem: section for section in sections}
    for table in wanted:
        if table.stem in stems:
            _write(results, stems[table.stem])
        elif not _source(results, table).exists():
            missing.append(f"{table.stem}: nothing run yet, try {table.command}")
    results.mkdir(parents=True, exist_ok=True)
    _draw(results, overview.STEM, overview.figure(sections))
    (results / "README.md").write_text(table_page.readme(sections, problems, matters(results)))
    (results / "report.html").write_text(page.html(sections, problems))
    return problems + missing


def read(results: Path) -> tuple[list[Section], list[str]]:
    """Return the sections of all tables of which something was run, and a line for whatever is unfit."""
    archives = {scale: Runs(results / scale) for scale in spec.SCALES}
    sections, problems = [], []
    for table in _made(results):
        try:
            shown = _section(results, table, archives[table.scale])
        except InputError as error:
            if str(error) not in problems:
                problems.append(str(error))
            continue
        sections.append(shown)
        if shown.empty:
            problems.append(f"{table.stem}: no finished run in {results / table.scale}")
    return sections, problems + [problem for runs in archives.values() for problem in runs.problems]


def matters(results: Path) -> str:
    """Return what `scores-matter` found, in a sentence; empty where too little of it was run."""
    measured, _ = scores.read(grid.load(), results)
    return scores.finding(grid.load(), measured)


def _made(results: Path) -> list[Table]:
    """Return the tables of which something was run, first those of the smallest scale."""
    made: dict[str, Table] = {}
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
    rule = manifest.rule(source)
    return section.of_runs(table, cells.build(table, manifest.read(source), runs, rule), rule)


def texts(shown: Section) -> dict[str, str]:
    """Return a section's texts by the suffixes of their files."""
    return {
        "md": table_page.table_page(shown),
        "tex": render.latex(shown),
        "csv": render.as_csv(shown),
    }


def _write(results: Path, shown: Section) -> None:
    folder = results / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in texts(shown).items():
        (folder / f"{shown.stem}.{suffix}").write_text(text)
    for stem, draw in drawn(shown).items():
        _draw(results, stem, draw())


def drawn(shown: Section) -> dict[str, Callable[[], Figure]]:
    """Return what draws a section's figures by the stems of their files."""
    found = {shown.stem: shown.figure, f"{shown.stem}.forest": shown.forest}
    return {stem: draw for stem, draw in found.items() if draw}


def _draw(results: Path, stem: str, figure: Figure | None) -> None:
    if figure is None:
        return
    folder = results / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{stem}.png", dpi=150, metadata={"Software": None})
    # Without a date, equal records give equal files.
    figure.savefig(folder / f"{stem}.pdf", metadata={"CreationDate": None})
    plt.close(figure)
