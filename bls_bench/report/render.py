"""A table as Markdown, LaTeX (booktabs) and CSV."""

import csv
import io
from typing import Any

from bls_bench.report.compact import compact
from bls_bench.report.section import Section

LATEX = str.maketrans(
    {char: "\\" + char for char in "%&_#${}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    | {"±": r"$\pm$", "<": "$<$", ">": "$>$", "*": "$^*$"}
)


def markdown(section: Section) -> str:
    """Return the blocks one below the other without what says nothing, and what is to be said of them."""
    blocks, notes = compact(section)
    lines = []
    for block in blocks:
        lines += [
            f"**{block.caption}**",
            "",
            _markdown_line(block.header),
            "|" + " --- |" * len(block.header),
        ]
        lines += map(_markdown_line, block.lines)
        lines.append("")
    lines += [" ".join([*map(escaped, notes), *section.remarks]), ""]
    lines += [f"- ? {doubt}" for doubt in section.doubts]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_line(texts: Any) -> str:
    return "| " + " | ".join(map(escaped, texts)) + " |"


def escaped(text: str) -> str:
    """Return a text that Markdown takes for no markup."""
    return text.replace("~", r"\~").replace("*", r"\*")


def latex(section: Section) -> str:
    r"""Return the table for \usepackage{booktabs}; wide, so set it with \resizebox or sideways."""
    header = section.blocks[0].header
    lines = [
        f"% {section.heading}",
        *(f"% {sentence}" for sentence in (*section.legend, *section.remarks)),
        *(f"% ? {doubt}" for doubt in section.doubts),
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        _latex_line(header),
    ]
    for block in section.blocks:
        if block.header != header:
            header = block.header
            lines += [r"\midrule", _latex_line(header)]
        lines += [
            r"\midrule",
            rf"\multicolumn{{{len(header)}}}{{l}}{{\emph{{{block.caption.translate(LATEX)}}}}} \\",
        ]
        lines += map(_latex_line, block.lines)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_line(texts: Any) -> str:
    return " & ".join(text.translate(LATEX) for text in texts) + r" \\"


def as_csv(section: Section) -> str:
    """Return a line for each cell, empty where a value is missing."""
    out = io.StringIO()
    # Lines that are judged by different metrics have columns of their own.
    names = dict.fromkeys(name for line in section.lines for name in line)
    writer = csv.DictWriter(out, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in line.items()} for line in section.lines)
    return out.getvalue()


def _plain(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
