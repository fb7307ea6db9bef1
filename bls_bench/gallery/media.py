"""Pictures, texts and sounds within a page: sheets of thumbnails, waves as WAV files, and how much fits."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any

import numpy as np

from bls_bench.gallery.shown import Shown

# Characters of a page that hold what there is to see, read and hear; numbers take the rest of 15 MB.
BUDGET = 8_500_000
# Pixels of the side of a thumbnail, at most, and of a sheet.
THUMBNAIL, SHEET = 128, 1024
QUALITY = 80
# Samples that are taken at once where nothing is a picture.
AT_ONCE = 8
LONGEST_TEXT, LONGEST_SOUND = 600, 3.0
# Of a sound whose loudness is drawn.
PARTS = 120

# Shows samples, one after the other as they are asked for.
Show = Callable[[Sequence[int]], Iterable[Shown]]


def collected(show: Show, order: np.ndarray) -> dict[str, Any]:
    """Return what JSON can hold of the first samples in `order`, as many as fit BUDGET characters.

    cell: pixels of a thumbnail, 0 without. columns: thumbnails in a row of a sheet, and rows. sheets: JPEG
    files in base64, filled row by row. labels, texts and sounds (a WAV file in base64 and its outline, or
    null): one each for the first samples in `order`. alike: a number for each, the same for those whose
    picture, text or sound is the same.
    """
    found = iter(show(order.tolist()))
    ahead = list(islice(found, 1))
    cell = _cell(ahead)
    columns = SHEET // cell if cell else 0
    at_once = columns**2 or AT_ONCE
    media: dict[str, Any] = {
        "cell": cell,
        "columns": columns,
        "sheets": [],
        "labels": [],
        "texts": [],
        "sounds": [],
        "alike": [],
    }
    seen: dict[bytes, int] = {}
    used = 0
    while chunk := [*ahead, *islice(found, at_once - len(ahead))]:
        ahead = []
        part = {
            "sheets": [_sheet(chunk, cell)] if cell else [],
            "labels": [one.label for one in chunk],
            "texts": [_cut(one.text) for one in chunk],
            "sounds": [_sound(one) for one in chunk],
        }
        used += len(json.dumps(part))
        if used > BUDGET:
            break
        for name, values in part.items():
            media[name] += values
        media["alike"] += [seen.setdefault(_digest(one), len(seen)) for one in chunk]
    return media


def _cell(some: Sequence[Shown]) -> int:
    """Return the side of a thumbnail, a multiple of 8 as JPEG's blocks are; 0 without pictures."""
    if not some or some[0].picture is None:
        return 0
    return -(-min(max(some[0].picture.shape[:2]), THUMBNAIL) // 8) * 8


def _sheet(chunk: Sequence[Shown], cell: int) -> str:
    # Pillow is needed for pictures alone.
    from PIL import Image

    columns = SHEET // cell
    sheet = Image.new("RGB", (min(columns, len(chunk)) * cell, -(-len(chunk) // columns) * cell), "#ddd")
    for number, one in enumerate(chunk):
        if one.picture is None:
            continue
        picture = Image.fromarray(np.ascontiguousarray(one.picture))
        if max(picture.size) > cell:
            picture.thumbnail((cell, cell), Image.Resampling.LANCZOS)
        left, top = (cell - picture.width) // 2, (cell - picture.height) // 2
        sheet.paste(picture, (number % columns * cell + left, number // columns * cell + top))
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return encoded(file.getvalue())


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " ..."


def _sound(one: Shown) -> list[str] | None:
    """Return a WAV file of the first seconds, and how loud they are: PARTS uint8, 255 for the loudest."""
    if one.wave is None:
        return None
    values = one.wave[: int(LONGEST_SOUND * one.rate)]
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, one.rate, len(values), "NONE", ""))
        writer.writeframes(values.astype("<i2").tobytes())
    squares = np.square(values.astype(np.float64))
    loud = np.sqrt([part.mean() if len(part) else 0.0 for part in np.array_split(squares, PARTS)])
    outline = (255 * loud / max(loud.max(), 1.0)).astype(np.uint8)
    return [encoded(file.getvalue()), encoded(outline.tobytes())]


def _digest(one: Shown) -> bytes:
    """Return what two samples have in common that look, read and sound the same."""
    content = [part.tobytes() for part in (one.picture, one.wave) if part is not None]
    return sha256(b"/".join([one.text.encode(), *content])).digest()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
