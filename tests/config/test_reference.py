"""The page of all settings says what the code says."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_is_of_this_code():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert (ROOT / "docs" / "reference.md").read_text() == reference.page(), "run make reference"
