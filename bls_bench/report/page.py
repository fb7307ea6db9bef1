"""The page that shows everything: report.html, which needs no other file."""

import base64
import io
from html import escape

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bls_bench.report.cells import MISSING
from bls_bench.report.compact import compact
from bls_bench.report.section import Block, Section, legend

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


def html(sections: list[Section], problems: list[str]) -> str:
    """Return report.html: tables, figures and curves, with nothing loaded from elsewhere."""
    contents = "".join(
        f'<li><a href="#{section.stem}">{escape(section.heading)}</a></li>' for section in sections
    )
    explained = legend(metric for section in sections for metric in section.metrics)
    told = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>bls_bench: results</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>Results</h1>\n<ul>{contents}</ul>\n"
        f'<p class="small">{escape(" ".join(explained))}</p>\n'
        + "".join(map(_section, sections))
        + (f"<h2>Not shown</h2><ul>{told}</ul>" if problems else "")
        + "</body></html>\n"
    )


def _section(section: Section) -> str:
    blocks, notes = compact(section)
    parts = [f'<h2 id="{section.stem}">{escape(section.heading)}</h2>', f"<p>{escape(section.finding)}</p>"]
    parts += map(_table, blocks)
    told = [*notes, *section.remarks, *(f"{doubt}." for doubt in section.doubts)]
    parts.append(f'<p class="small">{escape(" ".join(told))}</p>')
    if section.figure:
        parts.append(image(section.figure(), section.heading))
    for title, draw in section.curves.items():
        parts += [f"<h3>{escape(title)}</h3>", image(draw(), title)]
    parts.append(
        f'<p><code>{section.command}</code></p><p class="small">{escape(" ".join(section.provenance))}</p>'
    )
    return "\n".join(parts) + "\n"


def _table(block: Block) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in block.header)
    rows = "".join("<tr>" + "".join(map(_data, texts)) + "</tr>\n" for texts in block.lines)
    head = f"<caption>{escape(block.caption)}</caption><thead><tr>{head}</tr></thead>"
    return f"<table>{head}<tbody>\n{rows}</tbody></table>"


def _data(text: str) -> str:
    named = text if text in ("lossless", "worse", "better", MISSING) else ""
    return f'<td class="{named}">{escape(text)}</td>' if named else f"<td>{escape(text)}</td>"


def image(figure: Figure, text: str) -> str:
    """Return an element that holds the figure itself, which is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{data}">'
