"""Blocks as the pages show them: without the columns and lines that say nothing."""

from __future__ import annotations

from bls_bench.report.cells import MISSING
from bls_bench.report.section import Block, Section
from bls_bench.report.statistics import UNDECIDED


def compact(section: Section) -> tuple[list[Block], list[str]]:
    """Return the blocks of which something was run, and sentences of what was folded.

    The CSV and LaTeX files keep all of it.
    """
    shown, notes = [], []
    for block in section.blocks:
        run = [texts for texts in block.lines if texts[1] != MISSING]
        lacking = [texts[0] for texts in block.lines if texts[1] == MISSING]
        if run:
            shown.append(_narrow(Block(block.caption, block.header, run), section.stands_in))
            if lacking:
                notes.append(f"Not run of {block.caption}: {', '.join(lacking)}.")
    empty = [block.caption for block in section.blocks if all(texts[1] == MISSING for texts in block.lines)]
    if empty:
        notes.append(f"Not run: {', '.join(caption.removesuffix(' (not run here)') for caption in empty)}.")
    if notes:
        notes.append(f"{section.stem}.csv has the published values of what was not run.")
    if section.blocks and any("Verdict" in block.header for block in section.blocks):
        undecided = [block.caption for block in shown if "Verdict" not in block.header]
        judged = any(UNDECIDED in texts for block in section.blocks for texts in block.lines)
        if undecided and judged:
            which = "any row" if len(undecided) == len(shown) else f"any row of {', '.join(undecided)}"
            notes.append(f"There are not enough seeds for a verdict on {which}.")
    return shown, notes


def _narrow(block: Block, stands_in: bool) -> Block:
    kept = [
        place
        for place, name in enumerate(block.header)
        if _says_something(name, [texts[place] for texts in block.lines], stands_in)
    ]
    lines = [[texts[place] for place in kept] for texts in block.lines]
    return Block(block.caption, [block.header[place] for place in kept], lines)


def _says_something(name: str, texts: list[str], stands_in: bool) -> bool:
    if name == "Difference" and stands_in:  # between our data and another's
        return False
    if name == "Time saved" and stands_in:  # what the paper's hours say is not about our runs
        return any(text and (";" in text or not text.endswith("published")) for text in texts)
    if name == "Verdict":
        return any(text and text != UNDECIDED for text in texts)
    return any(texts)
