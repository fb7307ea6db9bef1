"""The tables in the repository are what its archives say."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from bls_bench.config.run import load
from bls_bench.experiments import scores as grid
from bls_bench.records import cells
from bls_bench.records.archive import Archive
from bls_bench.report import output, overview, scores, table_page

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def read():
    return output.read(RESULTS)


def test_they_render_to_the_same_bytes(read):
    sections, _ = read
    texts = {
        f"{shown.stem}.{suffix}": text for shown in sections for suffix, text in output.texts(shown).items()
    }
    files = {
        file.name: file.read_text()
        for file in (RESULTS / "tables").iterdir()
        if not file.stem.startswith(grid.NAME)
    }
    assert files.keys() == texts.keys()
    assert [name for name, text in texts.items() if files[name] != text] == []


def test_so_does_the_page(read):
    assert (RESULTS / "README.md").read_text() == table_page.readme(*read, output.matters(RESULTS))


def test_every_figure_is_there(read):
    stems = [overview.STEM, grid.NAME, *(stem for shown in read[0] for stem in output.drawn(shown))]
    figures = {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf")}
    assert figures == {file.name for file in (RESULTS / "figures").iterdir()}


def test_so_does_the_table_of_scores_that_matter():
    lines, problems = cells.read(RESULTS / "scores" / "cells.jsonl")
    assert problems == []
    text = scores.markdown(grid.load(), scores.Measured(lines))
    assert (RESULTS / "tables" / f"{grid.NAME}.md").read_text() == text


def test_no_line_is_damaged_and_every_run_is_whole(read):
    assert read[1] == []
    for scale in ("digits", "small"):
        archive = Archive(RESULTS / scale)
        assert all(archive.result(key) for key in archive)


def test_every_run_has_the_key_that_its_config_has_today():
    """A default or version that changes shows here, and a setting that is added without a neutral value."""
    for scale in ("digits", "small"):
        archive, seen = Archive(RESULTS / scale), set()
        for key in archive:
            config = archive.get(key).config
            other = json.dumps(config | {"seed": None})
            if other not in seen:  # one seed is enough
                seen.add(other)
                assert load(OmegaConf.create(config)).key == key, config


def test_losses_lie_beside_the_runs_that_kept_them():
    for file in RESULTS.glob("*/losses/*"):
        assert Archive(file.parents[1]).get(file.stem)
