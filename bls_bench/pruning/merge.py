"""Bring the visits of all processes together, once an epoch and exactly."""

from __future__ import annotations

from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch
from bls_bench.system.processes import gather, process_rank


def merge(visits: Visits) -> Visits:
    """Return the visits of all processes, in the order of their ranks; a single process' own unchanged.

    Indices travel as int64 and losses as float32, so nothing is rounded, whatever the number of samples.
    """
    if process_rank()[1] == 1:
        return visits
    sizes = gather(visits.batch_sizes)
    parts = gather(torch.zeros(0) if visits.losses is None else visits.losses)
    signals = gather(torch.zeros(0) if visits.signals is None else visits.signals.flatten())
    # A process that made no batch has nothing to say about the kind of the losses.
    given = [len(part) > 0 for part, own in zip(parts, sizes, strict=True) if len(own)]
    if len(set(given)) > 1:
        raise ValueError("some processes recorded per-sample losses and others batch losses")
    indices, signal = torch.cat(gather(visits.indices)), torch.cat(signals)
    none = torch.zeros(0, dtype=torch.int64)
    silent = torch.cat(gather(none if visits.silent is None else visits.silent))
    if len(signal) > len(indices):
        signal = signal.view(len(indices), -1)  # of a scorer that is wide
    return Visits(
        indices=indices,
        batch_sizes=torch.cat(sizes),
        batch_losses=torch.cat(gather(visits.batch_losses)),
        losses=torch.cat(parts) if any(given) else None,
        batches_per_process=[len(part) for part in sizes],
        signals=signal if len(signal) else None,
        silent=silent if len(silent) else None,
    )
