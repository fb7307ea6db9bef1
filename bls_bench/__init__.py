"""Dynamic data pruning in three lines of a training loop: see docs/library.md."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bls_bench.pruning.library.loader import DataLoader
    from bls_bench.pruning.library.methods import BLS, InfoBatch, RandomPruning, RePB, SeTa

__all__ = ["BLS", "DataLoader", "InfoBatch", "RandomPruning", "RePB", "SeTa"]


def __getattr__(name: str) -> Any:
    # Loaded at first use: torch takes seconds, and the reports need none of it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "loader" if name == "DataLoader" else "methods"
    return getattr(import_module(f"{__name__}.pruning.library.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
