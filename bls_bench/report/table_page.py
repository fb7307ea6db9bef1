"""The Markdown pages: results/README.md, which begins with what is found, and a page a table."""

from __future__ import annotations

from collections.abc import Sequence

from bls_bench.experiments.scores import NAME
from bls_bench.report import overview
from bls_bench.report.render import markdown
from bls_bench.report.section import Section


def readme(sections: Sequence[Section], problems: Sequence[str], matters: str) -> str:
    """Return results/README.md. matters: what `scores-matter` found, empty where it was not run."""
    lines = ["# Results", ""]
    if any(section.table.name == overview.TABLE and section.forest for section in sections):
        lines += [
            f"![Differences to full data and to random scores](figures/{overview.STEM}.png)",
            "",
            "*BLS Table 8: mean differences at equal seeds with 95% t intervals, dots against full data, "
            "grey for controls that look at no sample or prune nothing, diamonds against random scores under "
            'the same pruner where both prune the same. Grey band: the margin of "lossless". An arrow: '
            "beyond the panel.*",
            "",
        ]
    told = overview.sentences(sections)
    if told:
        lines += [
            *(f"{number}. {sentence}" for number, sentence in enumerate(told, start=1)),
            "",
            "Brackets are 95% t intervals of the differences at equal seeds. A training that stands in "
            "several tables counts once. Better and worse are corrected by Holm's method within "
            "each table, and the counts over all tables for nothing more. "
            "`make tables` computes all of this from the archives in this folder.",
            "",
        ]
    if matters:
        lines += [
            "## When scores matter",
            "",
            f"![Effect over random scores](figures/{NAME}.png)",
            "",
            f"{matters} Brackets are 95% t intervals at equal seeds. All of it: "
            f"[when scores matter](tables/{NAME}.md), `make {NAME}`.",
            "",
        ]
    lines += [
        "## Tables",
        "",
        "Each page has the papers' values beside our runs, the command that trains them, and how to read it; "
        "CSV and LaTeX files lie beside it. `make tables` also writes `report.html`: all tables with curves "
        "over the epochs, in one file. More on every term: `docs/tables.md`.",
        "",
        *overview.index(sections),
        "",
    ]
    if problems:
        lines += ["## Not shown", "", *(f"- {problem}" for problem in problems), ""]
    return "\n".join(lines)


def table_page(section: Section) -> str:
    """Return the page of a table, results/tables/STEM.md."""
    lines = [f"# {section.heading}", "", section.finding, ""]
    if section.forest:
        lines += [f"![Differences to full data](../figures/{section.stem}.forest.png)", ""]
    if section.figure:
        lines += [f"![{section.heading}](../figures/{section.stem}.png)", ""]
    lines += [markdown(section), "```", section.command, "```", "", *section.provenance, ""]
    if section.legend:
        lines += ["## How to read it", "", *(f"- {sentence}" for sentence in section.legend), ""]
    return "\n".join([*lines, "[All tables](../README.md)", ""])
