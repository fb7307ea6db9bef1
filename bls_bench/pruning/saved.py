"""Whether a saved pruning state is whole: every part of the type, size and range that it was saved with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bls_bench.pruning.selection import marked
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from bls_bench.pruning.scorer import Scorer
    from bls_bench.pruning.state import PruningState

# The fields of the visits of an open epoch.
VISITS = {"indices", "batch_sizes", "batch_losses", "losses", "batches_per_process", "signals", "silent"}


def on_cpu(saved: Any) -> Any:
    """Return what was saved with its tensors on the CPU, wherever torch.load has put them.

    A tensor of `meta` has no values to take there, and is left for `damaged_part` to find.
    """
    if isinstance(saved, torch.Tensor):
        return saved if saved.is_meta else saved.cpu()
    if isinstance(saved, dict):
        return {key: on_cpu(value) for key, value in saved.items()}
    # Long lists are of numbers, which are no tensors.
    return [on_cpu(value) for value in saved] if isinstance(saved, list) else saved


def damaged_part(state: Mapping[str, Any], run: PruningState) -> str | None:
    """Return the key of a part that no run like this one saves; None if all are in order."""
    samples = run.num_samples
    checks: dict[str, Callable[[Any], bool]] = {
        "seed": lambda seed: _whole(seed, 2**63),
        "partial": lambda partial: isinstance(partial, bool),
        **dict.fromkeys(("epoch", "steps_made", "nonfinite"), lambda number: _whole(number, 2**63)),
        "selected": lambda sizes: _list(sizes, samples + 1),
        "scores": lambda scores: column(scores, samples, torch.float32),
        "counts": lambda counts: column(counts, samples, torch.int32),
        "silent": lambda counts: counts is None or column(counts, samples, torch.int32),
        "selection": lambda selection: selection is None or _selection(selection, samples),
        "visits": lambda visits: (
            visits is None if state["selection"] is None else _visits(visits, samples, run.scorer)
        ),
        "pruner_state": lambda own: run.pruner.fits(own, samples),
        "scorer_state": lambda own: run.scorer.fits(own, samples),
    }
    return next(
        (key for key, is_fine in checks.items() if _empty(state[key]) or not is_fine(state[key])), None
    )


def _empty(value: Any) -> bool:
    """Whether any tensor of it has no values."""
    if isinstance(value, dict | list):
        return any(map(_empty, value.values() if isinstance(value, dict) else value))
    return isinstance(value, torch.Tensor) and value.is_meta


def _whole(value: Any, end: int) -> bool:
    """Whether it is an integer in [0, end)."""
    return type(value) is int and 0 <= value < end


def _list(values: Any, end: int) -> bool:
    return isinstance(values, list) and all(_whole(value, end) for value in values)


def column(values: Any, length: int, dtype: torch.dtype) -> bool:
    return isinstance(values, torch.Tensor) and values.dtype == dtype and values.shape == (length,)


def _floats(values: Any, length: int) -> bool:
    found = isinstance(values, torch.Tensor) and values.is_floating_point()
    return found and values.shape == (length,)


def are_samples(values: Any, samples: int) -> bool:
    """Whether they are int64 indices of samples, none twice."""
    if not (isinstance(values, torch.Tensor) and values.ndim == 1 and values.dtype == torch.int64):
        return False
    if len(values) and not 0 <= int(values.min()) <= int(values.max()) < samples:
        return False
    return int(marked(values, samples).count_nonzero()) == len(values)


def _selection(selection: Any, samples: int) -> bool:
    if not isinstance(selection, list) or len(selection) != 3 or not are_samples(selection[0], samples):
        return False
    indices, weights, ratio = selection
    return (weights is None or column(weights, len(indices), torch.float32)) and (
        ratio is None or isinstance(ratio, float | int)
    )


def _visits(visits: Any, samples: int, scorer: Scorer) -> bool:
    if not isinstance(visits, dict) or visits.keys() != VISITS or not are_samples(visits["indices"], samples):
        return False
    silent = visits["silent"]
    if silent is not None and not (
        are_samples(silent, samples) and are_samples(torch.cat([visits["indices"], silent]), samples)
    ):
        return False
    sizes, counts, visited = visits["batch_sizes"], visits["batches_per_process"], len(visits["indices"])
    if not (isinstance(sizes, torch.Tensor) and column(sizes, sizes.numel(), torch.int64)):
        return False
    if (sizes < 1).any() or int(sizes.sum()) != visited or not _floats(visits["batch_losses"], len(sizes)):
        return False
    if not _list(counts, len(sizes) + 1) or sum(counts) != len(sizes):
        return False
    asked = (("losses", scorer.per_sample), ("signals", scorer.signal is not None))
    if visited and any(is_asked and visits[name] is None for name, is_asked in asked):
        return False
    return all(visits[name] is None or _floats(visits[name], visited) for name in ("losses", "signals"))


def rows_or_numbers(saved: Any, own: Mapping[str, Any], samples: int) -> bool:
    """Whether a part's saved state has the names of its `own`: rows of the samples, numbers or None."""
    return (
        isinstance(saved, dict)
        and saved.keys() == own.keys()
        and all(
            value.shape == (samples,)
            if isinstance(value, torch.Tensor)
            else value is None or isinstance(value, float)
            for value in saved.values()
        )
    )
