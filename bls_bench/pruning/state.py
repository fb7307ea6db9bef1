"""The state of pruning over a run: scores, counts, and the epoch that is open."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bls_bench.pruning.budget import Steps, check_count, check_seed
from bls_bench.pruning.checks import check_batch, check_state, check_visits, drop_nonfinite
from bls_bench.pruning.merge import merge
from bls_bench.pruning.pruner import Epoch, Pruner
from bls_bench.pruning.saved import on_cpu
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.selection import Selection
from bls_bench.pruning.visits import VisitLog, Visits
from bls_bench.system.lazy import torch
from bls_bench.system.processes import process_rank
from bls_bench.system.streams import stream

if TYPE_CHECKING:
    from torch import Tensor


class PruningState:
    """Selects the samples of each epoch and learns from the losses they had.

    Per epoch: `selection = state.begin_epoch()`; per batch: `state.record(indices, loss)`; then
    `state.end_epoch()`. Scoring is deferred: a sample is visited at most once an epoch and nobody reads
    a score before the epoch ends, so `record` only keeps what it is given, and `end_epoch` scores the
    whole epoch in a few vectorised operations.

    All randomness depends on (seed, epoch) alone. Under torch.distributed every process therefore draws
    the same selection; it trains on `selection.shard(rank, world_size)`, and `end_epoch` (a collective
    call) merges the visits, after which scores and weights are bit-equal on every process.

    The tables live on the CPU: an epoch costs one transfer each way, and a selection does not depend on
    the device that trains.
    """

    def __init__(
        self,
        num_samples: int,
        length: int | Steps,
        pruner: Pruner,
        scorer: Scorer,
        seed: int,
        *,
        on_nonfinite: str = "raise",
        partial: bool = False,
        arrange: Callable[[Selection, torch.Generator], Selection] | None = None,
    ) -> None:
        """Raise TypeError or ValueError for no samples, no epochs, a bad seed or a target out of reach.

        length: the epochs asked for, or a number of steps. `num_epochs` is how many of them to train
        (`Pruner.plan`), of steps how many it looks like as of the last epoch begun.
        on_nonfinite: a loss that is NaN or infinite makes `end_epoch` `raise`, or it is to `skip` it.
        partial: whether selected samples may go without a loss, as unsure ones of a consistency loss do. One
        that never had a loss then has no score, even if the scorer begins with one for all.
        arrange: puts the samples of each epoch into another order, by a generator of its own.
        """
        if num_samples < 1:
            raise ValueError(f"the data set must have at least 1 sample, got {num_samples}")
        if on_nonfinite not in ("raise", "skip"):
            raise ValueError(f"on_nonfinite must be raise or skip, got {on_nonfinite!r}")
        self.num_samples, self.seed, self.on_nonfinite = num_samples, check_seed(seed), on_nonfinite
        self._arrange = arrange
        self.steps, self.steps_made, self.nonfinite, self.partial = None, 0, 0, partial
        if isinstance(length, Steps):
            self.steps = length
            length = length.epochs(num_samples, pruner.wanted_share or 0.0)
        self.epochs_asked = check_count("num_epochs", length)
        self.num_epochs = pruner.plan(length, scorer.below_mean)
        if self.steps is not None and self.num_epochs != length:
            raise ValueError("match=epochs trains fewer epochs: it needs a run counted in epochs")
        # Copies: what they remember is of this run alone.
        self.pruner, self.scorer = copy.deepcopy(pruner), copy.deepcopy(scorer)
        self.epoch = 0
        self._scores = torch.full((num_samples,), torch.nan)
        # In how many epochs each sample gave a loss, and in how many it was trained on without one.
        self._counts = torch.zeros(num_samples, dtype=torch.int32)
        self._silent: Tensor | None = None
        self._selected: list[int] = []
        self._selection: Selection | None = None
        self._upcoming: Selection | None = None
        self._log = empty_log(None)

    @property
    def scores(self) -> Tensor:
        """(N,) float32, the scores as of the last finished epoch; NaN for a sample without one."""
        return self._scores.masked_fill(self._counts == 0, torch.nan) if self.partial else self._scores

    @property
    def counts(self) -> Tensor:
        """(N,) int32, how many finished epochs trained on each sample, with a loss or without."""
        return self._counts if self._silent is None else self._counts + self._silent

    @property
    def selection(self) -> Selection | None:
        """The open epoch's selection of all processes together; None between epochs."""
        return self._selection

    @property
    def recorded(self) -> Tensor:
        """(m,) int64, the samples that this process has recorded in the open epoch so far."""
        silent = self._log.silent
        return self._log.indices if silent is None else torch.cat([self._log.indices, silent])

    @property
    def batches_recorded(self) -> int:
        """How many batches this process has recorded in the open epoch so far."""
        return self._log.batches

    @property
    def pruned_percent(self) -> float:
        """100 * (1 - samples used / (N * epochs)) over the epochs begun so far, annealing included.

        In a run that has fewer epochs than asked for, each stands for its share of those.
        """
        if not self._selected:
            return 0.0
        return 100 * (self._whole - sum(self._selected)) / self._whole

    @property
    def left_out(self) -> int:
        """How many samples the epochs begun so far have left out, of those that `pruned_percent` is of."""
        return round(self._whole) - sum(self._selected)

    @property
    def _whole(self) -> float:
        return self.num_samples * len(self._selected) * self.epochs_asked / self.num_epochs

    @property
    def past(self) -> bool:
        """Whether all epochs, or all steps, of the run are behind it."""
        if self.steps is not None:
            return self.steps_made >= self.steps.number
        return self.epoch >= self.num_epochs

    def begin_epoch(self) -> Selection:
        """Open the next epoch. After `num_epochs` of them it warns and trains on all samples.

        Raises RuntimeError while an epoch is open, ValueError if the pruner leaves no sample.
        """
        selection = self.upcoming()
        if self.past:
            length = (
                f"num_epochs={self.num_epochs}" if self.steps is None else f"num_steps={self.steps.number}"
            )
            warnings.warn(f"epoch {self.epoch} is past {length}: training on all samples", stacklevel=2)
        if self.steps is not None:
            self.epochs_asked = self.num_epochs = self._total()
        self._selection, self._upcoming = selection, None
        self._log = empty_log(selection)
        self._selected.append(len(selection))
        return selection

    def upcoming(self) -> Selection:
        """Draw the selection of the next epoch ahead of `begin_epoch`, which will return this very one."""
        if self._selection is not None:
            raise RuntimeError(f"epoch {self.epoch} is still open: call end_epoch first")
        if self._upcoming is None:
            generator = stream(self.seed, "select", self.epoch)
            used, cut = sum(self._selected), self.epochs_asked - self.num_epochs
            epoch = Epoch(self.epoch, self._total(), self.scores, self.counts, generator, used, cut)
            drawn = epoch.everything() if self.past else self.pruner.select(epoch)
            if self._arrange is not None and len(drawn):
                drawn = self._arrange(drawn, stream(self.seed, "arrange", self.epoch))
            self._upcoming = drawn
        if len(self._upcoming) == 0:
            name = type(self.pruner).__name__
            raise ValueError(f"{name} leaves none of the {self.num_samples} samples to train on")
        return self._upcoming

    def _total(self) -> int:
        """Return how many epochs the run has; of a run counted in steps, at its present pace."""
        if self.steps is None:
            return self.num_epochs
        if self.pruner.wanted_share is None and self.epoch and self.steps_made:
            return self.steps.at_pace(self.epoch, self.steps_made)
        return max(self.num_epochs, self.epoch + 1)

    def record(self, indices: Tensor, loss: Tensor, signal: Tensor | None = None) -> None:
        """Note the unweighted loss of a batch: (b,) per sample, or the 0-d mean.

        indices: (b,) int64. A scorer that needs no per-sample losses averages a vector.
        signal: (b,) on the device of the loss, what the scorer asks for beside it (`Scorer.signal`).
        Raises RuntimeError outside an epoch, TypeError for a 0-d loss under a per-sample scorer or a signal
        missing or not asked for, ValueError for another shape, an empty batch, or a change of kind or
        device within the epoch.
        """
        if self._selection is None:
            raise RuntimeError("record is for an open epoch: call begin_epoch first")
        check_batch(indices, loss, signal, self.scorer)
        self._log.append(indices, loss, signal)

    def record_silent(self, indices: Tensor) -> None:
        """Note samples, (k,) int64, that were trained on and gave no loss: they keep the scores they have.

        Raises RuntimeError outside an epoch.
        """
        if self._selection is None:
            raise RuntimeError("record_silent is for an open epoch: call begin_epoch first")
        if indices.numel():
            self._log.append_silent(indices)

    def end_epoch(self) -> Visits:
        """Score the open epoch and close it; returns what all processes observed in it.

        Raises NonFiniteLossError or ValueError (an index outside the data set, a sample recorded twice),
        both before any score has changed. With `on_nonfinite="skip"` what is not finite is left out, counted
        in `nonfinite` and told in a warning; it still raises where no loss of the epoch is finite.
        """
        if self._selection is None:
            raise RuntimeError("no epoch is open: call begin_epoch first")
        visits, bad = merge(self._log.visits()), 0
        if self.on_nonfinite == "skip":
            visits, bad = drop_nonfinite(visits)
        visited = check_visits(visits, self.num_samples, self.epoch, self.scorer.signal)
        if len(visits.indices):
            generator = stream(self.seed, "score", self.epoch)
            self.scorer.update(self._scores, self._counts, visits, generator)
            self._counts += visited
        if visits.silent is not None:
            self._silent = torch.zeros_like(self._counts) if self._silent is None else self._silent
            self._silent[visits.silent] += 1
        if bad:
            self.nonfinite += bad
            warnings.warn(f"epoch {self.epoch}: {bad} losses were not finite and were skipped", stacklevel=2)
        self.pruner.observe(visits, self.scores)
        self._selection, self._log = None, empty_log(None)
        self.epoch += 1
        return visits

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, in types that torch.load(weights_only=True) takes.

        In mid-epoch it holds the open epoch too. Under several processes it then is a collective call:
        every process has to make it, and gets the visits of all.
        """
        selection, visits = self._selection, None
        if selection is not None:
            merged = merge(self._log.visits())
            visits = {
                "indices": merged.indices,
                "batch_sizes": merged.batch_sizes,
                "batch_losses": merged.batch_losses,
                "losses": merged.losses,
                "batches_per_process": merged.batches_per_process,
                "signals": merged.signals,
                "silent": merged.silent,
            }
        return {
            "num_samples": self.num_samples,
            "pruner": type(self.pruner).__name__,
            "scorer": type(self.scorer).__name__,
            "seed": self.seed,
            "partial": self.partial,
            "silent": None if self._silent is None else self._silent.clone(),
            "epoch": self.epoch,
            "scores": self._scores.clone(),
            "counts": self._counts.clone(),
            "selected": list(self._selected),
            "selection": None
            if selection is None
            else [selection.indices, selection.weights, selection.prune_ratio],
            "visits": visits,
            "steps_made": self.steps_made,
            "nonfinite": self.nonfinite,
            # Copies, as of the tables above: what follows changes some of them in place.
            "pruner_state": copy.deepcopy(self.pruner.state_dict()),
            "scorer_state": copy.deepcopy(self.scorer.state_dict()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, its tensors on any device; the seed comes with it.

        Raises ValueError, with nothing changed, for something else than a pruning state, a damaged one, one
        of another data set length, pruner or scorer or past this run, or an open epoch of another number
        of processes.
        """
        state = on_cpu(state)
        check_state(state, self)
        selection = None if state["selection"] is None else Selection(*state["selection"])
        log = empty_log(selection)
        if state["visits"] is not None:
            log.load(Visits(**state["visits"]), *process_rank())
        self.seed, self.partial, self.epoch = state["seed"], state["partial"], state["epoch"]
        self._scores, self._counts = state["scores"].clone(), state["counts"].clone()
        self._silent = None if state["silent"] is None else state["silent"].clone()
        self._selected, self._log = list(state["selected"]), log
        self._selection, self._upcoming = selection, None
        self.steps_made, self.nonfinite = state["steps_made"], state["nonfinite"]
        if self.steps is not None:
            self.epochs_asked = self.num_epochs = self._total()
        self.pruner.load_state_dict(copy.deepcopy(state["pruner_state"]))
        self.scorer.load_state_dict(copy.deepcopy(state["scorer_state"]))


def empty_log(selection: Selection | None) -> VisitLog:
    """The log of an epoch before its first batch on this process; None for no epoch."""
    if selection is None:
        return VisitLog(torch.zeros(0, dtype=torch.int64))
    return VisitLog(selection.shard(*process_rank()).indices)
