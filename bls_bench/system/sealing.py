"""Files that carry a checksum over all that they hold, at their end."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

# The end of a file that is whole: this word and the SHA-256 of all before it.
WORD = b"bls_bench checkpoint "
DIGEST = 32


def seal(file: BinaryIO) -> None:
    """Add the checksum to a file open for reading and writing."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]
    file.write(WORD + digest)


def payload(content: bytes) -> bytes | None:
    """Return what was sealed; None for what is damaged, cut short or was never sealed."""
    inside, end = content[: -len(WORD) - DIGEST], content[-len(WORD) - DIGEST :]
    return inside if end == WORD + hashlib.sha256(inside).digest() else None


def is_damaged(content: bytes) -> bool:
    """Whether something was sealed and has changed since."""
    return content[-len(WORD) - DIGEST : -DIGEST] == WORD and payload(content) is None
