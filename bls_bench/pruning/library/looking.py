"""The page of a handler: what each epoch did with each sample of a data set in anybody's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bls_bench.gallery.page import About, write
from bls_bench.gallery.shown import Shown, numbered
from bls_bench.pruning.state import PruningState
from bls_bench.pruning.trace import Trace
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

NOTHING_KEPT = "there is nothing to look at: make the handler with look=True"


def write_page(
    path: str | Path,
    state: PruningState,
    trace: Trace | None,
    show: Callable[[int], Shown] | None,
    targets: Tensor | Sequence[int] | None,
    classes: Sequence[str],
) -> Path:
    """Write the page of a run; see `Handler.look`."""
    if trace is None:
        raise RuntimeError(NOTHING_KEPT)
    labels = None if targets is None else torch.as_tensor(targets).cpu().numpy()
    if labels is not None and labels.shape != (state.num_samples,):
        raise ValueError(f"targets must be ({state.num_samples},), a class a sample, got {labels.shape}")

    def shown(indices: Sequence[int]) -> Iterator[Shown]:
        return numbered(indices, labels, classes) if show is None else map(show, indices)

    about = About(
        f"{type(state.pruner).__name__} with scores of {type(state.scorer).__name__}",
        {"samples": f"{state.num_samples:,}", "pruned": f"{state.pruned_percent:.1f}%"},
    )
    return write(Path(path), trace.history(), about, shown, labels, classes)


def with_trace(state: dict[str, Any], trace: Trace | None) -> dict[str, Any]:
    """Return a saved state with what was kept to look at, if anything is."""
    return state if trace is None else {**state, "trace": trace.state_dict()}


def check_trace(state: Any, trace: Trace | None) -> None:
    """Raise ValueError where a saved state lacks what a handler is to keep."""
    if trace is not None and isinstance(state, dict) and "trace" not in state:
        raise ValueError("look=True must be given from the first epoch: this state was saved without it")
