"""The three-line API: a data set that knows which of its samples the next epoch trains on."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from bls_bench.pruning.library.dataset import fetch, sample_count
from bls_bench.pruning.library.running import Running, given
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.state import PruningState
from bls_bench.system.processes import process_rank

NO_EPOCH = "no epoch is running: update is for batches of a loader with sampler=handler.sampler"
NOT_KNOWN = (
    "it is not known which samples this loss is of: load with bls_bench.DataLoader, which knows with any "
    "number of workers (torch's own does with num_workers=0 only), or give update the indices"
)
UPDATED = (
    "the batch in hand has been updated already. If the loop computes several losses of one batch, give the "
    "others to handler.weighted. If something between loader and loop reads batches ahead (a prefetcher, "
    "Accelerate's prepare), keep handler.batch_indices with each batch and give update the indices"
)


class Handler(Dataset):
    """A map-style data set under dynamic pruning: the base of `InfoBatch`, `SeTa`, `RePB`, `RandomPruning`.

    Length and items are the data set's own, unchanged. `sampler` draws each epoch's samples, `update`
    takes the loss of each batch. An epoch begins when `sampler` is iterated. It ends with the `update` of
    its last batch, when a `bls_bench.DataLoader` runs out, or when `sampler` is iterated anew, whichever
    comes first; so leaving by `break` or leaving updates out does no harm. Only then do scores change.

    Under torch.distributed each process draws its own share of the epoch, and the end of an epoch is a
    collective call: every process has to come to it, which those do that make the same calls.
    """

    def __init__(self, dataset: Dataset, num_epochs: int, pruner: Pruner, scorer: Scorer, seed: int) -> None:
        """Raise TypeError for a data set that is not map-style with a length, ValueError for an empty one."""
        self.dataset = dataset
        self.state = PruningState(sample_count(dataset), num_epochs, pruner, scorer, seed)
        self._running: Running | None = None

    def __len__(self) -> int:
        """All samples, pruned or not; `len(handler.sampler)` is how many the epoch trains on."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Fetch a batch. torch's DataLoader calls this, which tells what the loop has in hand."""
        if self._running is not None:
            self._running.fetched(indices)
        return fetch(self.dataset, indices)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_running": None}

    @property
    def sampler(self) -> "PruningSampler":
        """What a DataLoader takes as `sampler`, to iterate once an epoch."""
        return PruningSampler(self)

    @property
    def scores(self) -> Tensor:
        """(N,) float32, the scores as of the last finished epoch; NaN for a sample without one."""
        return self.state.scores

    @property
    def weights(self) -> Tensor:
        """(N,) float32, what the loss of each sample counts in the running or else the last epoch.

        0 for a pruned sample; all 1 before the first epoch.
        """
        running = self._current()
        return torch.ones(self.state.num_samples) if running is None else running.weights

    @property
    def epoch(self) -> int:
        """How many epochs are finished: the number of the running one, counted from 0."""
        return self.state.epoch

    @property
    def progress(self) -> float:
        """How far the run is, in [0, 1]: (epoch + share of its samples updated) / num_epochs.

        A learning rate that is a function of it is right however short an epoch gets.
        """
        running, part = self._current(), 0.0
        if running is not None and self.state.selection is not None:
            part = running.recorded / max(running.total, 1)
        return min(1.0, (self.epoch + part) / self.state.num_epochs)

    @property
    def pruned_percent(self) -> float:
        """100 * (1 - samples used / (N * epochs)) over the epochs begun so far, annealing included."""
        return self.state.pruned_percent

    @property
    def batch_indices(self) -> Tensor | None:
        """(b,) int64, the samples of the batch in hand; None where that is not known.

        For loops that read batches ahead: keep it with each batch, and give it to `update` as `indices`.
        """
        return None if self._running is None else self._running.in_hand

    def update(self, loss: Tensor, indices: Tensor | Sequence[int] | None = None) -> Tensor:
        """Give the loss of the batch in hand, and get the 0-d loss to call `backward` on.

        loss: (b,) per-sample losses, or under BLS the 0-d mean loss (a vector is averaged). It is kept
        detached, on its device and never waited for, so a loss that is NaN or infinite is found when the
        epoch ends: NonFiniteLossError (a ValueError) then, with the scores as they were.
        indices: (b,), for loops that know which samples the loss is of; by default those of the batch
        that the loader gave last. That is known with `bls_bench.DataLoader`, and with torch's own
        for num_workers=0.
        Returns mean(w_i * l_i), or L * mean(w) for a mean loss; `loss` itself is never changed.

        Raises TypeError for a loss that is no floating-point tensor or a 0-d one where per-sample losses
        are needed; ValueError for a loss of another length or on another device than the epoch's first,
        or samples that the epoch awaits no loss of; RuntimeError where it is not known which samples the
        loss is of. The state is then unchanged.
        """
        known, running = self._known(indices), self._current()
        loss = self._checked(loss, known)
        running.check(known)
        self.state.record(known, loss.detach().clone())  # a copy: CUDA graphs overwrite their outputs
        running.done(known)
        running.given = running.given or indices is not None
        total = running.batch(known, loss.device).weighted(loss)
        if running.complete:
            self.end_epoch()
        return total

    def weighted(self, loss: Tensor) -> Tensor:
        """Weight one more loss of the batch in hand as `update` does, and keep nothing of it.

        For steps that compute a batch's loss several times: SAM, line searches, auxiliary losses.
        """
        running = self._current()
        if running is None or running.in_hand is None:
            raise RuntimeError(NOT_KNOWN)
        loss = self._checked(loss, running.in_hand)
        return running.batch(running.in_hand, loss.device).weighted(loss)

    def end_epoch(self) -> None:
        """End the running epoch now, if one runs. Seldom needed: see the class for when it ends by itself.

        Under torch.distributed every process has to make this call. Raises NonFiniteLossError.
        """
        if self.state.selection is not None:
            self.state.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, in types that torch.load(weights_only=True) takes.

        In mid-epoch the open epoch is part of it, and the call is collective under torch.distributed.
        A resumed run iterates `sampler` as always, and gets what was left of that epoch.
        """
        return self.state.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave.

        Raises ValueError, with nothing changed, for that of another length, pruner or scorer.
        """
        self.state.load_state_dict(state)
        self._running = None

    def _current(self) -> Running | None:
        """Return the running epoch, or else the last one; after a resume, what was left of it."""
        if self._running is None and self.state.selection is not None:
            state = self.state
            self._running = Running(state.selection, state.recorded, *process_rank(), state.num_samples)
        return self._running

    def _begin(self) -> Iterator[int]:
        if sample_count(self.dataset) != self.state.num_samples:
            raise ValueError(
                f"the data set had {self.state.num_samples} samples and now has {len(self.dataset)}: "
                "make a new handler when it changes"
            )
        running = self._current()
        if running is not None and running.iterated:
            self.end_epoch()
        if self.state.selection is None:
            self._running = None
            self.state.begin_epoch()
        return self._current().draw()

    def _length(self) -> int:
        if self.state.selection is not None:
            return len(self._current().indices)
        return len(self.state.upcoming()) // process_rank()[1]

    def _known(self, indices: Tensor | Sequence[int] | None) -> Tensor:
        """Return the samples that a loss is of, (b,) int64: those of the batch in hand unless given."""
        running = self._current()
        in_hand = None if running is None else running.in_hand
        if indices is None and in_hand is not None and not running.awaits(in_hand):
            raise RuntimeError(UPDATED)
        if running is None or self.state.selection is None:
            raise RuntimeError(NO_EPOCH)
        if indices is not None:
            return given(indices, self.state.num_samples)
        if in_hand is None:
            raise RuntimeError(NOT_KNOWN)
        return in_hand

    def _checked(self, loss: Tensor, indices: Tensor) -> Tensor:
        """Return the loss in the shape that the scorer takes."""
        name, count = type(self).__name__, len(indices)
        if not isinstance(loss, Tensor) or not loss.is_floating_point():
            found = loss.dtype if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"the loss must be a floating-point tensor, got {found}")
        if self.state.scorer.per_sample and loss.ndim == 0:
            raise TypeError(
                f"{name} needs the loss of each sample, shape ({count},), and got one mean loss: give the "
                f"criterion reduction='none', or wrap it in BLS: BLS({name}(...)).proxy()"
            )
        if loss.ndim and loss.shape != indices.shape:
            raise ValueError(f"expected {count} losses, one a sample, got shape {tuple(loss.shape)}")
        return loss if self.state.scorer.per_sample else loss.mean()


class PruningSampler(Sampler[int]):
    """Draws the samples of one epoch each time it is iterated; under torch.distributed, this process' share.

    Its length is that of the running epoch, between epochs that of the next one.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def __iter__(self) -> Iterator[int]:
        return self.handler._begin()

    def __len__(self) -> int:
        return self.handler._length()
