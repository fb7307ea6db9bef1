"""Alpaca and its like: a JSON file of instructions, inputs and outputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.tasks.language.data import InstructionDataset, Pair
from bls_bench.tasks.text.data import held_back
from bls_bench.tasks.text.files import open_text


@dataclass(frozen=True, kw_only=True)
class Alpaca(InstructionDataset):
    """The one JSON file in the folder `root`: a list of {"instruction", "input", "output"}.

    The input may be empty or left out. An empty output, of which Alpaca has a few, is learned as the end of
    the text. There is no test split: a fifth is held back, by the digests of prompt and answer.
    """

    name: str = "alpaca"
    root: str = settings.folder()

    def read(self) -> tuple[list[Pair], list[Pair]]:
        path = _only_file(Path(self.root).expanduser())
        with open_text(path) as file:
            try:
                entries = json.load(file)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}, line {error.lineno}: no JSON ({error.msg})") from None
        if not isinstance(entries, list):
            raise InputError(f"{path} must be a list of instructions, got {type(entries).__name__}")
        sides: tuple[list[Pair], list[Pair]] = ([], [])
        for number, entry in enumerate(entries, 1):
            pair = _pair(entry, f"{path}, entry {number}")
            sides[held_back("".join(pair))].append(pair)
        for part, side in zip(("train", "test"), sides, strict=True):
            if not side:
                raise InputError(f"{path} has too few entries: none to {part} with")
        return sides


def _only_file(root: Path) -> Path:
    files = sorted(root.glob("*.json"))
    if len(files) != 1:
        raise InputError(f"{root} has {len(files)} JSON files, needed is one: is dataset.root right?")
    return files[0]


def _pair(entry: Any, at: str) -> Pair:
    if not isinstance(entry, dict):
        raise InputError(f"{at}: needed is an object, got {type(entry).__name__}")
    texts = []
    for key in ("instruction", "input", "output"):
        text = entry.get(key, "" if key == "input" else None)
        if not isinstance(text, str):
            raise InputError(f"{at}: {key} must be a text, got {text!r}")
        texts.append(text.strip())
    instruction, given, output = texts
    if not instruction:
        raise InputError(f"{at}: an empty instruction")
    sections = [f"### Instruction:\n{instruction}"]
    if given:
        sections.append(f"### Input:\n{given}")
    return Pair("\n\n".join([*sections, "### Response:\n"]), output)
