"""The three-line API: a data set that knows which of its samples the next epoch trains on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from bls_bench.gallery.shown import Shown
from bls_bench.pruning.budget import run_length
from bls_bench.pruning.library.attribution import held, in_hand, is_over, named
from bls_bench.pruning.library.dataset import fetch, sample_count
from bls_bench.pruning.library.looking import check_trace, with_trace, write_page
from bls_bench.pruning.library.refusals import NO_EPOCH, checked, checked_mask, kept_mean
from bls_bench.pruning.library.running import Running
from bls_bench.pruning.library.sampler import PruningSampler
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.state import PruningState
from bls_bench.pruning.trace import Trace
from bls_bench.system.processes import process_rank


class Handler(Dataset):
    """A map-style data set under dynamic pruning: the base of `InfoBatch`, `SeTa`, `RePB`, `RandomPruning`.

    Length and items are the data set's own, unchanged. `sampler` draws each epoch's samples, `update`
    takes the loss of each batch. An epoch begins with its first `update` or `skip`: who reads a batch and
    gives no loss of it, has looked, and gets the same epoch again. It ends with its last batch, when a
    `bls_bench.DataLoader` runs out, or when `sampler` is iterated anew, whichever comes first; so leaving
    by `break` does no harm. Only then do scores change.

    Under torch.distributed each process draws its own share of the epoch, and the end of an epoch is a
    collective call: every process has to come to it, which those do that make the same calls.
    """

    def __init__(
        self,
        dataset: Dataset,
        num_epochs: int | None,
        pruner: Pruner,
        scorer: Scorer,
        seed: int = 0,
        *,
        num_steps: int | None = None,
        batch_size: int | None = None,
        on_nonfinite: str = "raise",
        look: bool = False,
    ) -> None:
        """Say how long the run is by `num_epochs`, or by `num_steps` with the loader's `batch_size`.

        num_steps: the batches that each process gives a loss of in the whole run; with gradient accumulation
        these are more than the optimizer's steps.
        on_nonfinite: what a loss that is NaN or infinite does: `raise` NonFiniteLossError at the end of its
        epoch, or `skip`: count in `nonfinite`, warn, and leave no score.
        look: keep what `look` shows, about 2 bytes a sample and epoch, in `state_dict` too.
        Raises TypeError for a data set that is not map-style with a length, a scorer that needs more than
        losses or numbers that are not whole; ValueError for an empty data set or values out of range.
        """
        if scorer.signal is not None:
            raise TypeError(
                f"{type(scorer).__name__} needs the {scorer.signal} of each sample, and update has losses "
                "only: use it with the train command"
            )
        length = run_length(num_epochs, num_steps, batch_size)
        self.dataset = dataset
        samples = sample_count(dataset)
        self.state = PruningState(samples, length, pruner, scorer, seed, on_nonfinite=on_nonfinite)
        self.trace = Trace(samples) if look else None
        self._running: Running | None = None
        # Where the losses are: the weights of an epoch go there at once.
        self._device: torch.device | str = "cpu"
        # Whether len(loader) counts the batches before a resume, for trainers that count all of an epoch.
        self.resumed_counts = False

    def __len__(self) -> int:
        """All samples, pruned or not; `len(handler.sampler)` is how many the epoch trains on."""
        return sample_count(self.dataset)

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
    def sampler(self) -> PruningSampler:
        """What a DataLoader takes as `sampler`, to iterate once an epoch."""
        return PruningSampler(self)

    @property
    def scores(self) -> Tensor:
        """(N,) float32, a copy of the scores as of the last finished epoch; NaN for a sample without one."""
        return self.state.scores.clone()

    @property
    def weights(self) -> Tensor:
        """(N,) float32, what the loss of each sample counts in the epoch that was drawn last.

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
        """How far the run is, in [0, 1]: (epoch + share of its samples) / num_epochs, or steps / num_steps.

        A learning rate that is a function of it is right however short an epoch gets.
        """
        state, part = self.state, 0.0
        if state.steps is not None:
            return min(1.0, state.steps_made / state.steps.number)
        if state.selection is not None:
            running = self._open()
            part = running.recorded / max(running.total, 1)
        return min(1.0, (state.epoch + part) / state.num_epochs)

    @property
    def pruned_percent(self) -> float:
        """100 * (1 - samples used / (N * epochs)) over the epochs begun so far, annealing included."""
        return self.state.pruned_percent

    @property
    def nonfinite(self) -> int:
        """How many losses of finished epochs were NaN or infinite and skipped (`on_nonfinite="skip"`)."""
        return self.state.nonfinite

    @property
    def batch_indices(self) -> Tensor | None:
        """(b,) int64, the samples of the batch in hand; None where that is not known.

        For loops that read batches ahead: keep it with each batch, and give it to `update` as `indices`.
        """
        running = self._running
        return None if running is None or running.hand is None else running.hand.indices

    def update(
        self, loss: Tensor, indices: Tensor | Sequence[int] | None = None, *, mask: Tensor | None = None
    ) -> Tensor:
        """Give the loss of the batch in hand, and get the 0-d loss to call `backward` on.

        loss: (b,) per-sample losses, or under BLS the 0-d mean loss (a vector is averaged). It is kept
        detached, on its device and never waited for, so a loss that is NaN or infinite is found when the
        epoch ends: NonFiniteLossError (a ValueError) then, with the scores as they were.
        indices: (b,), for loops that know which samples the loss is of; by default those of the batch
        that the loader gave last. That is known with `bls_bench.DataLoader`, and with torch's own
        for num_workers=0.
        mask: (b,) bool, which of per-sample losses count (FixMatch's confident ones): the others are 0 in
        what is returned, and leave no score. Read on the host.
        Returns mean(w_i * l_i), or L * mean(w) for a mean loss; `loss` itself is never changed.

        Raises TypeError for a loss that is no floating-point tensor or a 0-d one where per-sample losses
        are needed; ValueError for a loss of another length or on another device than the epoch's first,
        or samples that the epoch awaits no loss of; RuntimeError where it is not known which samples the
        loss is of, above all if a batch before was neither updated nor skipped. The state is then unchanged.
        """
        state = self.state
        running = self._current()
        running, hand = in_hand(running, state) if indices is None else named(running, state, indices)
        samples, count = hand.indices, hand.size
        per_sample = state.scorer.per_sample
        if mask is not None:
            chosen = checked_mask(mask, count)
            loss = checked(loss, count, type(self).__name__, True).where(mask, 0.0)
            kept, samples, silent = loss.detach()[mask], samples[chosen], samples[~chosen]
            kept = kept if per_sample or len(kept) == 0 else kept_mean(kept)
            loss = loss if per_sample else loss.mean()
        else:
            given, loss = loss, checked(loss, count, type(self).__name__, per_sample)
            # A copy: CUDA graphs overwrite their outputs.
            kept, silent = loss.detach().clone() if given.ndim == loss.ndim else kept_mean(given), None
        if state.selection is None:
            state.begin_epoch()
        if samples.numel():
            state.record(samples, kept)
        if silent is not None:
            state.record_silent(silent)
        # From now on BLS's start value is no score of a sample that never counted.
        state.partial = state.partial or mask is not None
        self._device = kept.device
        state.steps_made += running.settle(hand.indices)
        total = hand.weighted(loss)
        if running.complete:
            self.end_epoch()
        return total

    def skip(self) -> None:
        """Say that the batch in hand, or what has had no loss of it, gets none.

        A batch that is read and neither updated nor skipped is refused at the next `update`, since a loop
        that reads ahead looks the same. Does nothing where all that was read is updated.
        """
        running = self._current()
        if running is None:
            raise RuntimeError(NO_EPOCH)
        if running.read <= running.settled or is_over(running, self.state):
            return
        if self.state.selection is None:
            self.state.begin_epoch()
        self.state.steps_made += running.settle_rest()
        if running.complete:
            self.end_epoch()

    def weighted(self, loss: Tensor) -> Tensor:
        """Weight one more loss of the batch in hand as `update` does, and keep nothing of it.

        For steps that compute a batch's loss several times: SAM, line searches, auxiliary losses.
        """
        _, hand = held(self._current())
        return hand.weighted(checked(loss, hand.size, type(self).__name__, self.state.scorer.per_sample))

    def end_epoch(self) -> None:
        """End the running epoch now, if one runs. Seldom needed: see the class for when it ends by itself.

        Under torch.distributed every process has to make this call. Raises NonFiniteLossError.
        """
        if self.state.selection is not None:
            visits = self.state.end_epoch()
            if self.trace is not None:
                self.trace.note(visits, self.state.scores)

    def look(
        self,
        path: str | Path,
        show: Callable[[int], Shown] | None = None,
        targets: Tensor | Sequence[int] | None = None,
        classes: Sequence[str] = (),
    ) -> Path:
        """Write the page that shows what was pruned so far, one HTML file; returns its path.

        show: what sample i looks like (`bls_bench.gallery.shown.Shown`), by default its number and class.
        targets: (N,) the class of each sample, classes: their names, where there are some.
        Raises RuntimeError for a handler made without `look=True`, ValueError before an epoch has ended or
        for targets of another length.
        """
        return write_page(path, self.state, self.trace, show, targets, classes)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, in types that torch.load(weights_only=True) takes.

        In mid-epoch the open epoch is part of it, and the call is collective under torch.distributed.
        A resumed run iterates `sampler` as always, and gets what was left of that epoch.
        """
        return with_trace(self.state.state_dict(), self.trace)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave.

        Raises ValueError, with nothing changed, for anything else, or that of another run.
        """
        check_trace(state, self.trace)
        self.state.load_state_dict(state)
        if self.trace is not None:
            self.trace.load_state_dict(state["trace"])
        self._running = None

    def _current(self) -> Running | None:
        """Return the epoch that was drawn last; after a resume, what was left of it."""
        if self._running is None and self.state.selection is not None:
            self._running = self._drawn()
        return self._running

    def _open(self) -> Running:
        """Return the epoch that is open; only for when there is one."""
        running = self._current()
        assert running is not None
        return running

    def _drawn(self) -> Running:
        state = self.state
        selection = state.selection or state.upcoming()
        running = Running(selection, state.recorded, *process_rank(), state.num_samples)
        running.batches_before = state.batches_recorded
        return running

    def _begin(self) -> Running:
        """Draw the samples of the next epoch, or again those of one that no loss has been given of."""
        if sample_count(self.dataset) != self.state.num_samples:
            raise ValueError(
                f"the data set had {self.state.num_samples} samples and now has {len(self)}: "
                "make a new handler when it changes"
            )
        if self._running is not None and self._running.touched:
            self.end_epoch()
        self._running = self._drawn()
        if self.state.selection is not None and len(self._running.part) == 0:  # saved with all of it behind
            self.end_epoch()
            self._running = self._drawn()
        return self._running

    def _length(self) -> int:
        if self.state.selection is not None:
            return len(self._open().part)
        return len(self.state.upcoming()) // process_rank()[1]

    def _batches_behind(self) -> int:
        """Return how many batches of the open epoch were made before a resume, if they count."""
        open_one = self.resumed_counts and self.state.selection is not None
        return self._open().batches_before if open_one else 0
