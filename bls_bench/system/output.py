"""Standard output that may be closed by whoever reads it, as by `| head`, without ending the run."""

from __future__ import annotations

import contextlib
from typing import Any, TextIO


class Unbroken:
    """A stream that drops what its reader no longer takes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
