"""Lightning's Trainer: PruningCallback."""

from __future__ import annotations

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
    the handler's state. A run resumed in mid-epoch gets what was left of that epoch, and ends as if never
    interrupted. Under several processes give Trainer(use_distributed_sampler=False).
    """

    def __init__(self, handler: Handler) -> None:
        """Raise TypeError for anything but a handler."""
        if not isinstance(handler, Handler):
            raise TypeError(
                f"PruningCallback takes a handler such as InfoBatch, got {type(handler).__name__}"
            )
        self.handler = handler
        # The batches of the Trainer's epoch, and those between validations: as of its last batch, as loaded.
        self._lengths: list[Any] | None = None
        self._loaded: list[Any] | None = None

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

        # The handler's epoch ends with the last loss, the Trainer's later. A checkpoint from between the two
        # counts the batches of the epoch that is over, which the Trainer would hold against the next one's.
        loop = trainer.fit_loop
        if self._loaded is not None and self.handler.state.selection is None and loop.epoch_loop.restarting:
            if loop.epoch_loop.restarted_on_train_batch_end:
                progress = loop.epoch_loop.batch_progress.current
                progress.completed = max(progress.completed, int(loop.max_batches))
            else:  # from the validation at its end, after which the next epoch's lengths are taken
                loop.max_batches, trainer.val_check_batch = self._loaded
        self._loaded = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._lengths = [trainer.fit_loop.max_batches, trainer.val_check_batch]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # After limit_train_batches, or a last batch without a loss. One that stops half way goes on there.
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self.handler.end_epoch()

    def state_dict(self) -> dict[str, Any]:
        return {**self.handler.state_dict(), "lengths": self._lengths}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.handler.load_state_dict(state_dict)
        self._loaded = self._lengths = state_dict.get("lengths")

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
