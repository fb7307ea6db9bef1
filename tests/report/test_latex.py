"""The LaTeX files: what a compiler would stumble over, found without one."""

import re

import pytest

from bls_bench.experiments import spec
from bls_bench.report import cells, overhead, render
from bls_bench.report.runs import Runs
from bls_bench.report.section import Block, Section, of_runs
from tests.report.test_overhead import COSTS

# Without an argument of their own; the others take one.
COMMANDS = {"toprule", "midrule", "bottomrule", "pm", "textasciitilde", "textasciicircum", "textbackslash"}
COMMANDS |= {"begin", "end", "emph", "multicolumn"}


def section_of(name, folder):
    table = spec.load(name, "digits")
    if table.kind == "overhead":
        return overhead.of_costs(table, COSTS)
    return of_runs(table, cells.build(table, {}, Runs(folder)))


def check(text):
    """Assert that the text is one whole tabular with the same number of columns in every row."""
    assert text.isascii() or not re.search(r"^[^%].*[^\x00-\x7f]", text, re.MULTILINE)
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    columns = re.fullmatch(r"\\begin\{tabular\}\{(l r*)\}".replace(" ", ""), lines[0])[1]
    assert (lines[1], lines[-2], lines[-1]) == (r"\toprule", r"\bottomrule", r"\end{tabular}")
    for line in lines[2:-2]:
        if line == r"\midrule":
            continue
        assert line.endswith(r" \\")
        assert not line.startswith(("[", "*"))  # \\ would take it for its option
        body = line.removesuffix(r" \\")
        assert set(re.findall(r"\\([a-zA-Z]+)", body)) <= COMMANDS
        escaped = re.sub(r"\\[%&_#${}]", "", body)  # all that is left has its special meaning
        assert not re.search(r"[%_#]|\\[^a-zA-Z]", escaped)
        assert escaped.count("$") % 2 == 0
        assert not re.search(r"[\^<>]", re.sub(r"\$[^$]*\$", "", escaped))
        depth = 0
        for char in escaped:
            depth += (char == "{") - (char == "}")
            assert depth >= 0
        assert depth == 0
        spanned = re.match(r"\\multicolumn\{(\d+)\}", body)
        assert (int(spanned[1]) if spanned else escaped.count("&") + 1) == len(columns)


@pytest.mark.parametrize("name", spec.names())
def test_every_table_is_well_formed(name, tmp_path):
    check(render.latex(section_of(name, tmp_path)))


def test_whatever_stands_in_a_label(tmp_path):
    odd = r"50% of_a {set} \ #1 $x$ a&b <c> ~d ^e *f"
    block = Block(odd, ("a", odd), [[odd, odd]])
    texts = {"remarks": [odd], "doubts": [], "provenance": [], "lines": [], "legend": ()}
    table = spec.load("table8", "digits")
    shown = Section(table=table, stem="x", heading=odd, finding="", blocks=[block], command="", **texts)
    text = render.latex(shown)
    check(text)
    assert r"50\% of\_a \{set\} \textbackslash{} \#1 \$x\$ a\&b $<$c$>$ \textasciitilde{}d" in text
    for broken in (text.replace(r"\%", "%"), text.replace(r"\}", "}"), text.replace(" & ", " ", 1)):
        with pytest.raises(AssertionError):
            check(broken)
