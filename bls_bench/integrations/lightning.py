"""Lightning's Trainer: PruningCallback."""

from __future__ import annotations

import sys
from typing import Any

try:
    from lightning import pytorch as pl
    from lightning.pytorch.utilities import CombinedLoader
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"bls_bench.integrations.lightning needs `pip install lightning`: {error}"
    ) from error

from bls_bench.pruning.library.handler import Handler
from bls_bench.pruning.library.loader import DataLoader


class PruningCallback(pl.Callback):
    """Makes a Trainer count right in epochs that are pruned: Trainer(callbacks=[PruningCallback(handler)]).

    The module's `training_step` returns `handler.update(loss)`, and the loader is a `bls_bench.DataLoader` of
    the handler. The Trainer then asks for the length of each epoch anew (by itself it keeps that of the
    first, which shorter ones never reach: no validation, gradients left over), and its checkpoints carry
    the handler's state. A run resumed in mid-epoch gets what was left of that epoch, one resumed at an
    epoch's end the next epoch, and both end as if never interrupted. Under several processes give
    Trainer(use_distributed_sampler=False).
    """

    def __init__(self, handler: Handler) -> None:
        """Raise TypeError for anything but a handler."""
        if not isinstance(handler, Handler):
            raise TypeError(
                f"PruningCallback takes a handler such as InfoBatch, got {type(handler).__name__}"
            )
        self.handler = handler

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Raise ValueError if the Trainer's run is not as long as the handler's."""
        if stage != "fit":
            return
        trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]
        self.handler.resumed_counts = True
        self._check_length(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise TypeError if the Trainer does not train on a loader of the handler."""
        loaders = CombinedLoader(trainer.train_dataloader).flattened
        if not any(isinstance(loader, DataLoader) and loader.handler is self.handler for loader in loaders):
            found = ", ".join(type(loader).__name__ for loader in loaders)
            raise TypeError(
                "PruningCallback's handler needs a bls_bench.DataLoader(handler, sampler=handler.sampler, "
                f"...) as train_dataloaders, got {found}"
            )

        # The handler's epoch ends with its last loss; the Trainer's later, or by limit_train_batches before.
        # A checkpoint from between the two counts the batches of the epoch that is over. The Trainer would
        # hold them against the length of the next one, which it has asked for by now.
        loop = trainer.fit_loop.epoch_loop
        progress = loop.batch_progress
        if not (loop.restarting and progress.is_last_batch):
            return
        if loop.restarted_on_train_batch_end:
            self.handler.end_epoch()  # the Trainer begins the next one, without an on_train_epoch_end
            progress.current.completed = sys.maxsize - 1  # all, however many: it adds one and compares
        elif isinstance(trainer.val_check_interval, float):
            # A share of the epoch. This is the validation at its end, which is over, and was due.
            trainer.val_check_batch = progress.current.ready

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # After limit_train_batches, or a last batch without a loss. One that stops half way goes on there.
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self.handler.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        return self.handler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.handler.load_state_dict(state_dict)

    def _check_length(self, trainer: Any) -> None:
        if trainer.fast_dev_run:  # which makes a batch or two
            return
        state = self.handler.state
        if state.steps is None and trainer.max_epochs != state.num_epochs:
            raise ValueError(
                f"the handler's num_epochs={state.num_epochs} and Trainer(max_epochs={trainer.max_epochs}) "
                "differ: pruning has to know how long the run is"
            )
        if (
            state.steps is not None
            and trainer.max_steps * trainer.accumulate_grad_batches != state.steps.number
        ):
            raise ValueError(
                f"the handler's num_steps={state.steps.number} are not the batches of Trainer(max_steps="
                f"{trainer.max_steps}, accumulate_grad_batches={trainer.accumulate_grad_batches})"
            )
