"""No logger."""

from dataclasses import dataclass

from bls_bench.records.tracking import Logger


@dataclass(frozen=True, kw_only=True)
class NoLogger(Logger):
    """The record on disk is all there is."""
