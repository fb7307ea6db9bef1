"""Dynamic data pruning in three lines of a training loop: see docs/library.md."""

from bls_bench.pruning.loader import DataLoader
from bls_bench.pruning.methods import BLS, InfoBatch, RandomPruning, RePB, SeTa

__all__ = ["BLS", "DataLoader", "InfoBatch", "RandomPruning", "RePB", "SeTa"]
