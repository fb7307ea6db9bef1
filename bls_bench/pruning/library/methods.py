"""Pruners that wrap a data set, with keyword arguments named as in the papers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NoReturn, TypedDict, Unpack

from bls_bench.pruning.library.handler import Handler
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.pruners.repb import RePBPruner
from bls_bench.pruning.pruners.seta import SeTaPruner
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.state import PruningState
from bls_bench.pruning.trace import Trace

if TYPE_CHECKING:
    from torch.utils.data import Dataset


class Run(TypedDict, total=False):
    """What every handler takes besides, see `Handler`: a run counted in steps, what to keep, and so on."""

    num_steps: int | None
    batch_size: int | None
    on_nonfinite: str
    look: bool


class InfoBatch(Handler):
    """InfoBatch (ICLR 2024, Sec. 2.2-2.4): drop low-loss samples at random, scale the loss of the others.

    num_epochs: E, the epochs of the whole run; or num_steps and batch_size instead.
    prune_ratio: r in [0, 1), the probability that a sample below the mean score is dropped.
    delta: in [0, 1], pruning ends at epoch delta * E.
    variant: `mean`, or `quantile`, where the lowest 20% of the scores are dropped with probability 0.75 and
    those from there to 85% with r (the paper's CIFAR-100 and ImageNet runs).
    exact_count: drop exactly int(r * n) of n candidates, as the authors' code does; the paper drops each
    one independently.
    target: the share of the whole run to prune, in [0, 1), reached for any losses; r is then adjusted
    each epoch. None leaves r as it is.
    Raises ValueError for settings out of range or a target out of reach, and what `Handler` raises for a
    data set.
    """

    def __init__(
        self,
        dataset: Dataset,
        num_epochs: int | None = None,
        prune_ratio: float = 0.5,
        delta: float = 0.875,
        variant: str = "mean",
        seed: int = 0,
        *,
        exact_count: bool = False,
        target: float | None = None,
        **run: Unpack[Run],
    ) -> None:
        pruner = InfoBatchPruner(
            prune_ratio=prune_ratio, delta=delta, variant=variant, exact_count=exact_count, target=target
        )
        super().__init__(dataset, num_epochs, pruner, PerSampleLoss(), seed, **run)


class SeTa(Handler):
    """SeTa (Scale Efficient Training, CVPR 2025): slide a window over loss groups, from easy to hard.

    num_epochs: E, the epochs of the whole run; or num_steps and batch_size instead.
    prune_ratio: r in [0, 1), the share that a uniform draw removes before anything else.
    num_groups: k groups of like scores; window_scale: the window spans round(k * window_scale) of them.
    delta: in [0, 1], from epoch delta * E on it is a fresh uniform draw of int((1 - r) * N) samples.
    target: the share of the whole run to prune, in [0, 1), reached for any losses; r is then adjusted
    each epoch. None leaves r as it is.
    Raises ValueError for settings out of range or a target out of reach, and what `Handler` raises for a
    data set.
    """

    def __init__(
        self,
        dataset: Dataset,
        num_epochs: int | None = None,
        prune_ratio: float = 0.1,
        num_groups: int = 5,
        window_scale: float = 0.9,
        delta: float = 0.875,
        seed: int = 0,
        *,
        target: float | None = None,
        **run: Unpack[Run],
    ) -> None:
        pruner = SeTaPruner(
            prune_ratio=prune_ratio,
            num_groups=num_groups,
            window_scale=window_scale,
            delta=delta,
            target=target,
        )
        super().__init__(dataset, num_epochs, pruner, PerSampleLoss(), seed, **run)


class RePB(Handler):
    """RePB (Resolving Pruning Biases, ICLR 2026, Sec. 3): decide inside local windows, reweight by history.

    num_epochs: E, the epochs of the whole run; or num_steps and batch_size instead.
    prune_ratio: rho in [0, 1), the probability that a sample below its window's mean is dropped.
    window: W, how many consecutive batches share one mean; under several processes each one's own.
    target: the share of the whole run to prune, in [0, 1), reached for any losses; rho is then adjusted
    each epoch. None leaves rho as it is.
    Raises ValueError for settings out of range or a target out of reach, and what `Handler` raises for a
    data set.
    """

    def __init__(
        self,
        dataset: Dataset,
        num_epochs: int | None = None,
        prune_ratio: float = 0.5,
        window: int = 1,
        seed: int = 0,
        *,
        target: float | None = None,
        **run: Unpack[Run],
    ) -> None:
        pruner = RePBPruner(prune_ratio=prune_ratio, window=window, target=target)
        super().__init__(dataset, num_epochs, pruner, PerSampleLoss(), seed, **run)


class RandomPruning(Handler):
    """The baseline: a fresh uniform draw of int((1 - prune_ratio) * N) samples each epoch.

    It looks at no score, so `update` takes per-sample losses and mean losses alike; its `scores` are the
    batch losses last seen. A target, in [0, 1), takes the place of prune_ratio, as in the other handlers.
    Raises ValueError for a rate outside [0, 1), and what `Handler` raises for a data set.
    """

    def __init__(
        self,
        dataset: Dataset,
        num_epochs: int | None = None,
        prune_ratio: float = 0.5,
        seed: int = 0,
        *,
        target: float | None = None,
        **run: Unpack[Run],
    ) -> None:
        pruner = RandomPruner(prune_ratio=prune_ratio, target=target)
        # At alpha 0 this is the last batch loss for any start value; with this one, NaN where there is none.
        scorer = BatchLossScore(alpha=0, init="bias_corrected")
        super().__init__(dataset, num_epochs, pruner, scorer, seed, **run)


class BLS:
    """Batch Loss Score (BLS, CVPR 2026, Eq. 2): any handler, scored by mean losses alone.

    alpha: the memory of a score, in [0, 1]; init: its start value, `first_batch` (the paper's), `zero` (the
    authors' code) or `bias_corrected`.
    Raises TypeError for anything but a handler, ValueError for one that has begun to train or for settings
    out of range.
    """

    def __init__(self, handler: Handler, alpha: float = 0.7, init: str = "first_batch") -> None:
        if not isinstance(handler, Handler):
            raise TypeError(
                f"BLS wraps a pruner such as InfoBatch(dataset, num_epochs), got {type(handler).__name__}"
            )
        if handler.epoch or handler.state.selection is not None:
            raise ValueError("BLS has to wrap the handler before its first epoch")
        self.handler = handler
        self.scorer = BatchLossScore(alpha=alpha, init=init)

    def __getattr__(self, name: str) -> NoReturn:
        """Raise AttributeError: what a handler has, `proxy` returns."""
        raise AttributeError(f"BLS(...) has no {name} before its proxy: take BLS(...).proxy()")

    def proxy(self) -> Handler:
        """Return a handler of the same kind over the same data set; the one wrapped stays as it is."""
        old, handler = self.handler.state, copy.copy(self.handler)
        length = old.epochs_asked if old.steps is None else old.steps
        handler.state = PruningState(
            old.num_samples, length, old.pruner, self.scorer, old.seed, on_nonfinite=old.on_nonfinite
        )
        handler.trace = None if self.handler.trace is None else Trace(old.num_samples)
        handler._running = None
        return handler
