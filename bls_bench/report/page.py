"""The two pages that show everything: results/README.md, and report.html, which needs no other file."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bls_bench.report import figures
from bls_bench.report.cells import HEADER, MISSING
from bls_bench.report.render import LEGEND, Cells, doubts, heading, markdown, remarks
from bls_bench.report.runs import Run
from bls_bench.report.spec import Table

STYLE = """
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 1250px; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: .6em 0 1.4em; font-size: 13px }
caption { text-align: left; font-weight: 600; padding: .3em 0 }
th, td { padding: .25em .6em; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top }
td:not(:nth-child(4)) { white-space: nowrap } th:first-child, td:first-child { text-align: left }
 thead th { border-bottom: 2px solid #444 }
.lossless { color: #1a6b2d } .worse { color: #a11 } .better { color: #14528c } .missing { color: #999 }
code { background: #f3f3f3; padding: .1em .3em } img { max-width: 100% }
.small { font-size: 13px; color: #555 }
"""


@dataclass(frozen=True)
class Rendered:
    """A table with its cells, and the command that makes it."""

    table: Table
    cells: Cells

    @property
    def stem(self) -> str:
        """The name of its files."""
        return f"{self.table.name}.{self.table.scale}"

    @property
    def runs(self) -> list[Run]:
        return [run for column in self.cells.values() for cell in column for run in cell.runs.values()]

    @property
    def command(self) -> str:
        seeds = sorted({seed for column in self.cells.values() for cell in column for seed in cell.seeds})
        return f"make {self.table.name} SCALE={self.table.scale} SEEDS={','.join(map(str, seeds))}"

    def provenance(self) -> list[str]:
        """Return what produced the numbers: scale, data, models, n, machine, versions."""
        runs = self.runs
        if not runs:
            return ["No finished run yet."]
        environments = [run.environments[-1] for run in runs]
        versions = (
            f"{name} {_each(environment[name] for environment in environments)}"
            for name in ("bls_bench", "commit", "torch", "torchvision", "timm", "python")
        )
        threads = _each(environment["threads"] for environment in environments)
        epochs = _each(run.result["epochs"] for run in runs)
        return [
            f"{len({run.path for run in runs})} runs of {epochs} epochs on "
            f"{_each(run.result['num_samples'] for run in runs)} samples.",
            f"Trained: {_each(column.header for column in self.table.columns if column.stand_in)}.",
            f"Machine: {_each(run.machine for run in runs)}, device "
            f"{_each(environment['device'] for environment in environments)}, {threads} threads a run.",
            f"Versions: {', '.join(versions)}.",
        ]


def _each(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values}))


def readme(pages: list[Rendered], problems: list[str]) -> str:
    """Return results/README.md."""
    lines = [
        "# Results",
        "",
        "The papers' tables beside our own runs, made from the records in `runs/` by `make tables`. "
        "The same page with curves, in one file: `report.html`. More on every term: `docs/tables.md`.",
        "",
        *(f"- {sentence}" for sentence in LEGEND),
        "",
    ]
    for page in pages:
        lines.append(markdown(page.table, page.cells))
        if page.table.kind != "table":
            lines += [f"![{heading(page.table)}](figures/{page.stem}.png)", ""]
        lines += ["```", page.command, "```", "", *page.provenance(), ""]
    if problems:
        lines += ["## Not shown", "", *(f"- {problem}" for problem in problems), ""]
    return "\n".join(lines)


def html(pages: list[Rendered], problems: list[str]) -> str:
    """Return report.html: tables, figures and curves, with nothing loaded from elsewhere."""
    contents = "".join(f'<li><a href="#{page.stem}">{escape(heading(page.table))}</a></li>' for page in pages)
    told = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>bls_bench: results</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>Results</h1>\n<ul>{contents}</ul>\n"
        f'<p class="small">{escape(" ".join(LEGEND))}</p>\n'
        + "".join(map(_section, pages))
        + (f"<h2>Not shown</h2><ul>{told}</ul>" if problems else "")
        + "</body></html>\n"
    )


def _section(page: Rendered) -> str:
    table, cells = page.table, page.cells
    parts = [f'<h2 id="{page.stem}">{escape(heading(table))}</h2>']
    parts += [
        _table(column.header, [cell.texts() for cell in cells[column.label]]) for column in table.columns
    ]
    told = [*remarks(table), *(f"{doubt}." for doubt in doubts(cells))]
    parts.append(f'<p class="small">{escape(" ".join(told))}</p>')
    if table.kind != "table":
        parts.append(_image(figures.draw(table, cells), heading(table)))
    for column in table.columns:
        if any(cell.runs for cell in cells[column.label]):
            parts.append(f"<h3>{escape(column.header)}, over the epochs</h3>")
            parts.append(
                _image(figures.curves(table, column.label, cells), f"{column.label} over the epochs")
            )
    parts.append(
        f'<p><code>{page.command}</code></p><p class="small">{escape(" ".join(page.provenance()))}</p>'
    )
    return "\n".join(parts) + "\n"


def _table(caption: str, lines: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADER)
    rows = "".join("<tr>" + "".join(map(_data, texts)) + "</tr>\n" for texts in lines)
    head = f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
    return f"<table>{head}<tbody>\n{rows}</tbody></table>"


def _data(text: str) -> str:
    named = text if text in ("lossless", "worse", "better", MISSING) else ""
    return f'<td class="{named}">{escape(text)}</td>' if named else f"<td>{escape(text)}</td>"


def _image(figure: Figure, text: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">'
