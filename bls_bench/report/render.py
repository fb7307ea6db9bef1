"""A table as Markdown, LaTeX (booktabs) and CSV."""

import csv
import io
from typing import Any

from bls_bench.report.cells import HEADER, Cell
from bls_bench.report.spec import Table

Cells = dict[str, list[Cell]]

LEGEND = (
    "Accuracy: after the last epoch, mean ± sample standard deviation over n seeds.",
    'Published: value / pruned % (source); a question mark for a doubtful one, "but" for what papers print '
    "otherwise; Difference: ours less it.",
    "Against full data: mean of the differences at equal seeds with its 95% t interval.",
    "Verdict: lossless if two one-sided tests put that within the margin (p < 0.05); if not, worse or better "
    "if the interval lies on one side of zero; else, and always below 3 seeds, not enough seeds.",
    "Time saved: training and selection; invalid unless all runs are known to have had one machine alone.",
    "Score~loss: rank correlation of the scores used with the losses then seen, mean over the last half.",
)
LATEX = str.maketrans(
    {char: "\\" + char for char in "%&_#$"}
    | {"±": r"$\pm$", "~": r"\textasciitilde{}", "<": "$<$", ">": "$>$", "*": "$^*$"}
)


def remarks(table: Table) -> list[str]:
    """Return the sentences that only this table needs."""
    sentences = [] if table.kind == "correlation" else [f"Margin of the verdict: {table.margin} points."]
    if table.scale != "paper":
        sentences.append(
            f"At SCALE={table.scale} other data and models stand in for the paper's: the difference to the "
            "published value then says nothing about the paper."
        )
    return [*sentences, *([table.note] if table.note else [])]


def heading(table: Table) -> str:
    return f"{table.title} (SCALE={table.scale})"


def doubts(cells: Cells) -> list[str]:
    """Return what there is to say of the published values that are doubtful, each once."""
    values = [value for column in cells.values() for cell in column for value in cell.published]
    return sorted({f"{value.source}: {value.remark}" for value in values if value.uncertain})


def markdown(table: Table, cells: Cells) -> str:
    """Return the table with a block for each of its columns; LEGEND says how to read it."""
    lines = [f"## {heading(table)}", ""]
    for column in table.columns:
        lines += [f"**{column.header}**", "", _markdown_line(HEADER), "|" + " --- |" * len(HEADER)]
        lines += [_markdown_line(cell.texts()) for cell in cells[column.label]]
        lines.append("")
    lines += [" ".join(remarks(table)), ""]
    lines += [f"- ? {doubt}" for doubt in doubts(cells)]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_line(texts: Any) -> str:
    return "| " + " | ".join(text.replace("~", r"\~").replace("*", r"\*") for text in texts) + " |"


def latex(table: Table, cells: Cells) -> str:
    r"""Return the table for \usepackage{booktabs}; wide, so set it with \resizebox or sideways."""
    width = len(HEADER)
    lines = [
        f"% {heading(table)}",
        *(f"% {sentence}" for sentence in (*LEGEND, *remarks(table))),
        rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
        r"\toprule",
        _latex_line(HEADER),
    ]
    for column in table.columns:
        lines += [
            r"\midrule",
            rf"\multicolumn{{{width}}}{{l}}{{\emph{{{column.header.translate(LATEX)}}}}} \\",
        ]
        lines += [_latex_line(cell.texts()) for cell in cells[column.label]]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_line(texts: Any) -> str:
    return " & ".join(text.translate(LATEX) for text in texts) + r" \\"


def as_csv(cells: Cells) -> str:
    """Return a line for each cell, empty where a value is missing."""
    out = io.StringIO()
    lines = [_csv_line(cell) for column in cells.values() for cell in column]
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _csv_line(cell: Cell) -> dict[str, Any]:
    versus, accuracy = cell.versus, cell.accuracy
    line = {
        "column": cell.column.label,
        "trained": cell.column.stand_in,
        "method": cell.row.label,
        "n": len(cell.runs),
        "seeds_wanted": len(cell.seeds),
        "accuracy": accuracy and accuracy.mean,
        "accuracy_std": accuracy and accuracy.std,
        "pruned_percent": cell.pruned_percent,
        "published": "; ".join(value.value for value in cell.published),
        "published_pruned_percent": "; ".join(value.pruned_percent for value in cell.published),
        "source": "; ".join(value.source for value in cell.published),
        "printed_elsewhere": "; ".join(f"{value.text} ({value.source})" for value in cell.elsewhere),
        "difference": cell.difference,
        "against_full": versus and versus.difference,
        "against_full_low": versus and versus.low,
        "against_full_high": versus and versus.high,
        "p_equivalent": versus and versus.p_equivalent,
        "verdict": versus and versus.verdict,
        "time_saved_percent": cell.saving,
        "time_valid": cell.saving_valid if cell.saving is not None else None,
        "score_loss_correlation": cell.correlation,
    }
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in line.items()}
