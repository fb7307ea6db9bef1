"""What is refused of the losses that training reports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bls_bench.pruning.saved import damaged_part
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.selection import marked
from bls_bench.pruning.visits import Visits
from bls_bench.system.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.pruning.state import PruningState

# The keys of a saved state.
SAVED = {"num_samples", "pruner", "scorer", "seed", "epoch", "scores", "counts", "selected", "selection"}
SAVED |= {"visits", "partial", "silent", "steps_made", "nonfinite", "pruner_state", "scorer_state"}


class NonFiniteLossError(ValueError):
    """A recorded loss is NaN or infinite. `epoch` and `batch` count from 0."""

    def __init__(self, epoch: int, batch: int, value: float) -> None:
        where = f"epoch {epoch}, batch {batch} (counted from 0)"
        super().__init__(f"the loss is {value} in {where}: training has diverged")
        self.epoch, self.batch, self.value = epoch, batch, value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.epoch, self.batch, self.value)


def check_batch(indices: Tensor, loss: Tensor, signal: Tensor | None, scorer: Scorer) -> None:
    """Raise TypeError or ValueError if loss or signal of a batch fits neither its samples nor the scorer."""
    if loss.ndim == 0:
        if scorer.per_sample:
            raise TypeError(
                f"{type(scorer).__name__} needs the loss of each sample, shape ({len(indices)},), "
                "and got one mean loss: use reduction='none', or score with BLS"
            )
    elif loss.shape != indices.shape:
        raise ValueError(f"expected {len(indices)} losses, one a sample, got shape {tuple(loss.shape)}")
    if signal is not None or scorer.signal is not None:
        if signal is None or scorer.signal is None:
            found = "none was" if signal is None else "one was"
            asked = scorer.signal or "the loss alone"
            raise TypeError(f"{type(scorer).__name__} scores by {asked}: {found} recorded beside the loss")
        if (signal.shape[:1] if scorer.wide else signal.shape) != indices.shape:
            raise ValueError(f"expected {len(indices)} signals, one a sample, got {tuple(signal.shape)}")
    if indices.numel() == 0:
        raise ValueError("a batch must hold at least 1 sample, got none")


def check_visits(visits: Visits, num_samples: int, epoch: int, signal: str | None) -> Tensor:
    """Return which samples gave a loss in epoch number `epoch`, (num_samples,) bool.

    signal: the name of the signals. Raises NonFiniteLossError, or ValueError for a signal that is not finite,
    an index outside the data set or a sample visited twice.
    """
    losses = visits.batch_losses if visits.losses is None else visits.losses
    if not losses.isfinite().all():
        bad = int((~losses.isfinite()).nonzero()[0])
        value = float(losses[bad])
        if visits.losses is not None:
            bad = int(visits.per_sample(torch.arange(len(visits.batch_sizes)))[bad])
        process = 0
        while bad >= visits.batches_per_process[process]:
            bad -= visits.batches_per_process[process]
            process += 1
        raise NonFiniteLossError(epoch, bad, value)
    if visits.signals is not None and not visits.signals.isfinite().all():
        raise ValueError(f"the {signal} of a sample is not finite in epoch {epoch}")
    trained = visits.trained
    if len(trained):
        low, high = map(int, trained.aminmax())
        if low < 0 or high >= num_samples:
            raise ValueError(f"indices must lie in [0, {num_samples}), got {low if low < 0 else high}")
    seen = marked(trained, num_samples)
    if int(seen.count_nonzero()) < len(trained):
        twice = int(trained.bincount().argmax())
        raise ValueError(f"sample {twice} was recorded more than once in epoch {epoch}")
    return seen if visits.silent is None else marked(visits.indices, num_samples)


def drop_nonfinite(visits: Visits) -> tuple[Visits, int]:
    """Return the visits without the losses that are NaN or infinite, and how many these are.

    Of per-sample losses single samples go, and batches that are then empty; of batch losses whole batches.
    Where no loss is finite, which is no accident, all of them stay.
    """
    losses = visits.batch_losses if visits.losses is None else visits.losses
    fine = losses.isfinite()
    bad = len(fine) - int(fine.count_nonzero())
    if bad in (0, len(fine)):
        return visits, 0
    samples = fine if visits.losses is not None else visits.per_sample(fine)
    sizes = torch.stack([part.sum() for part in samples.split(visits.batch_sizes.tolist())])
    left = sizes > 0
    processes = [int(part.count_nonzero()) for part in left.split(visits.batches_per_process)]
    kept = replace(
        visits,
        indices=visits.indices[samples],
        batch_sizes=sizes[left],
        batch_losses=visits.batch_losses[left],
        losses=None if visits.losses is None else visits.losses[samples],
        batches_per_process=processes,
        signals=None if visits.signals is None else visits.signals[samples],
    )
    if kept.losses is not None:
        kept = replace(kept, batch_losses=kept.batch_means(kept.losses))
    return kept, bad


def check_state(state: Any, run: PruningState) -> None:
    """Raise ValueError unless `state` is a whole saved state of a run like this one."""
    if not isinstance(state, dict):
        raise ValueError(f"this is no pruning state, which is a dict: got {type(state).__name__}")
    missing = sorted(SAVED - state.keys())
    if missing:
        raise ValueError(f"this is no pruning state: it lacks {', '.join(missing)}")
    mine = {
        "num_samples": run.num_samples,
        "pruner": type(run.pruner).__name__,
        "scorer": type(run.scorer).__name__,
    }
    for key, value in mine.items():
        if type(state[key]) is not type(value) or state[key] != value:
            found = state[key] if isinstance(state[key], str | int) else type(state[key]).__name__
            raise ValueError(f"the saved pruning state has {key} {found}, this run has {value}")
    if isinstance(state["epoch"], int) and isinstance(state["selected"], list):
        _check_epoch(state, run)
    damaged = damaged_part(state, run)
    if damaged is not None:
        raise ValueError(f"the pruning state is damaged: {damaged} is not what was saved")


def _check_epoch(state: dict[str, Any], run: PruningState) -> None:
    """Raise ValueError where the epoch fits neither the epochs that the state knows of nor the run."""
    begun = state["epoch"] + (state["selection"] is not None)
    if begun != len(state["selected"]):
        raise ValueError(
            f"the pruning state is damaged: epoch {state['epoch']} does not fit the {len(state['selected'])} "
            "epochs that it knows of"
        )
    if run.steps is None and state["epoch"] > run.num_epochs:
        raise ValueError(
            f"the saved pruning state has {state['epoch']} epochs behind it, and this run num_epochs="
            f"{run.num_epochs}: give the num_epochs of the whole run"
        )
