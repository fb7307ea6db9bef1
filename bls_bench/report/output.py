"""Render tables and figures into the results folder, from manifests and records alone."""

from collections.abc import Iterable
from pathlib import Path

from matplotlib import pyplot as plt

from bls_bench.errors import InputError
from bls_bench.report import cells, figures, manifest, page, render, spec
from bls_bench.report.page import Rendered
from bls_bench.report.runs import Runs


def render_all(results: Path, records: Path, wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Write the files of the wanted (table, scale) pairs, and the two pages that show all there are.

    Returns a line for each record or manifest that could not be used; the other cells are rendered.
    """
    runs, problems = Runs(records), []
    wanted = set(wanted)
    made = {
        (name, scale)
        for name in spec.names()
        for scale in spec.SCALES
        if manifest.path(results, name, scale).exists()
    }
    pages = []
    for name, scale in sorted(made, key=lambda pair: (spec.SCALES.index(pair[1]), pair[0])):
        table = spec.load(name, scale)
        try:
            keys = manifest.read(manifest.path(results, name, scale))
        except InputError as error:
            problems.append(str(error))
            continue
        rendered = Rendered(table, cells.build(table, keys, runs))
        pages.append(rendered)
        if not rendered.runs:
            problems.append(f"{name} at SCALE={scale}: no finished run in {records}")
        if (name, scale) in wanted:
            _write(results, rendered)
    problems += [
        f"{name} at SCALE={scale}: nothing run yet, try make {name} SCALE={scale}"
        for name, scale in sorted(wanted - made)
    ]
    problems += runs.problems
    results.mkdir(parents=True, exist_ok=True)
    (results / "README.md").write_text(page.readme(pages, problems))
    (results / "report.html").write_text(page.html(pages, problems))
    return problems


def _write(results: Path, rendered: Rendered) -> None:
    table, built = rendered.table, rendered.cells
    texts = {
        "md": render.markdown(table, built) + "\n" + " ".join(render.LEGEND) + "\n",
        "tex": render.latex(table, built),
        "csv": render.as_csv(built),
    }
    folder = results / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in texts.items():
        (folder / f"{rendered.stem}.{suffix}").write_text(text)
    if table.kind != "table":
        _draw(results / "figures", rendered)


def _draw(folder: Path, rendered: Rendered) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    figure = figures.draw(rendered.table, rendered.cells)
    figure.savefig(folder / f"{rendered.stem}.png", dpi=150, metadata={"Software": None})
    # Without a date, equal records give equal files.
    figure.savefig(folder / f"{rendered.stem}.pdf", metadata={"CreationDate": None})
    plt.close(figure)
