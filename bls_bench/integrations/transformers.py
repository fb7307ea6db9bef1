"""The Hugging Face Trainer: PrunedTrainer, a mixin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from bls_bench.integrations.cross_entropy import cross_entropies, in_place_of
from bls_bench.pruning.library.buckets import LengthBuckets
from bls_bench.pruning.library.handler import Handler
from bls_bench.pruning.library.loader import DataLoader
from bls_bench.pruning.library.running import batch_count
from bls_bench.system.processes import process_rank

try:
    from transformers import Trainer, TrainerCallback
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    from transformers.trainer_utils import seed_worker
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"bls_bench.integrations.transformers needs `pip install transformers accelerate`: {error}"
    ) from error

if TYPE_CHECKING:
    Base = Trainer
else:
    if not hasattr(Trainer, "_run_epoch"):
        raise ImportError(
            "bls_bench.integrations.transformers needs a Trainer that runs epoch by epoch: transformers 5"
        )
    Base = object

FILE = "pruning.pt"  # in each checkpoint's folder
KEY = "batch_indices"  # in each training batch
CAUSAL = frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())


class PrunedTrainer(Base):
    """Makes a Trainer prune: class MyTrainer(PrunedTrainer, Trainer), with train_dataset=InfoBatch(data, 3).

    The loss is the model's own, or what `compute_loss_func` returns; where the handler needs that of each
    sample and gets a mean, `sample_losses` says what it is, and a batch whose mean is another is refused.
    Each epoch has its own number of steps, its last gradients are not carried into the next, and learning
    rates that come from the Trainer's schedules follow the handler's progress, so that they end where they
    should. Checkpoints hold the handler's state; a run resumed in mid-epoch gets what was left of that epoch.
    `train_sampling_strategy="group_by_length"` makes batches of like lengths. Start several GPUs with
    torchrun.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Raise TypeError or ValueError for what cannot train right, in one line each."""
        super().__init__(*args, **kwargs)
        if not isinstance(self.train_dataset, Handler):
            found = type(self.train_dataset).__name__
            raise TypeError(
                f"PrunedTrainer's train_dataset has to be a handler such as InfoBatch, got {found}"
            )
        self.handler = self.train_dataset
        check(self)
        # Losses are means of batches: the Trainer divides them by the batches of a step.
        self.model_accepts_loss_kwargs = self.loss_is_scaled_for_ga = False
        self.add_callback(EpochOfHandler(self.handler))

    def sample_losses(self, outputs: Any, labels: torch.Tensor) -> torch.Tensor:
        """Return the (b,) cross-entropies of a model's logits, (b, c) or (b, t, c); override for others.

        Of tokens the mean of each sample counts, without those labelled -100; a causal model predicts the
        next one. Their mean has to be the loss that the model or the Trainer gives of the batch. An override
        is taken at its word.
        """
        return cross_entropies(self, outputs, labels, CAUSAL).losses

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        batch = inputs.pop(KEY, None)
        if batch is None:  # evaluation
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs.get("labels")
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        if self.handler.state.scorer.per_sample and loss.ndim == 0:
            if labels is None:
                raise ValueError(
                    "the handler needs the loss of each sample and the batch has no labels: let "
                    "compute_loss_func return losses of shape (b,), or wrap the handler in BLS"
                )
            if type(self).sample_losses is PrunedTrainer.sample_losses:
                loss = in_place_of(loss, cross_entropies(self, outputs, labels, CAUSAL), self)
            else:
                loss = self.sample_losses(outputs, labels)
        loss = self.handler.update(loss, indices=batch.indices)
        return (loss, outputs) if return_outputs else loss

    def get_train_dataloader(self) -> Any:
        args, handler = self.args, self.handler
        if args.train_sampling_strategy == "group_by_length":
            buckets = LengthBuckets(
                handler, self._lengths(), self._train_batch_size, args.dataloader_drop_last
            )
            batching: dict[str, Any] = {"batch_sampler": buckets}
        else:
            batching = {"sampler": handler.sampler, "batch_size": self._train_batch_size}
            batching["drop_last"] = args.dataloader_drop_last
        loader = DataLoader(
            handler,
            collate_fn=self._get_collator_with_removed_columns(self.data_collator, description="training"),
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            worker_init_fn=partial(
                seed_worker, num_workers=args.dataloader_num_workers, rank=args.process_index
            ),
            generator=torch.Generator(),  # the global one is the model's, for dropout
            **batching,
        )
        samples = len(handler) // process_rank()[1]
        whole = batch_count(samples, self._train_batch_size, args.dataloader_drop_last)
        return WithIndices(loader, handler, whole, args.seed)

    def set_initial_training_values(self, args: Any, dataloader: Any) -> tuple[Any, ...]:
        epochs, *values = super().set_initial_training_values(args, dataloader)
        return (
            sys.maxsize if args.max_steps > 0 else epochs,
            *values,
        )  # pruned epochs are more for as many steps

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        if self._created_lr_scheduler and self.args.max_steps < 0 and isinstance(scheduler, LambdaLR):
            scheduler.lr_lambdas = [
                by_progress(rate, self.handler, num_training_steps) for rate in scheduler.lr_lambdas
            ]
        return scheduler

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        super()._init_training_state(*args, **kwargs)
        resumed = kwargs.get("resume_from_checkpoint", args[3])
        if resumed is None:
            if self.handler.progress > 0:
                raise RuntimeError(
                    "the handler has been trained with already: make a new one, or resume_from_checkpoint"
                )
        else:
            file = Path(resumed, FILE)
            if not file.is_file():
                raise FileNotFoundError(f"{resumed} has no {FILE}: it is no checkpoint of a PrunedTrainer")
            self.handler.load_state_dict(torch.load(file, weights_only=True, map_location="cpu"))
        # What a resumed epoch has behind it is left out by the handler, not read and thrown away.
        return self.handler.epoch, 0

    def _run_epoch(self, **kwargs: Any) -> None:  # type: ignore[override]
        batches = kwargs["train_dataloader"].left
        kwargs["steps_in_epoch"] = batches
        kwargs["num_update_steps_per_epoch"] = -(-batches // self.args.gradient_accumulation_steps)
        super()._run_epoch(**kwargs)
        if not (self.control.should_training_stop or self.control.should_epoch_stop):
            self.handler.end_epoch()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        state = self.handler.state_dict()  # of all processes
        if self.args.should_save:
            torch.save(state, Path(output_dir, FILE))

    def _lengths(self) -> list[int]:
        """Return the length of every sample: a column of the data set's, or those of its inputs."""
        column = self.args.length_column_name
        data: Any = self.handler.dataset
        if column in getattr(data, "column_names", ()):
            return list(data[column])
        processing: Any = self.processing_class
        name = "input_ids" if processing is None else processing.model_input_names[0]
        return [len(data[index][name]) for index in range(len(data))]


class Indices:
    """Indices in a batch that stay on the CPU: the Trainer moves tensors to the device."""

    def __init__(self, indices: torch.Tensor | None) -> None:
        self.indices = indices


class WithIndices:
    """A loader whose batches carry their indices: the Trainer reads those of a whole step ahead.

    Its length is that of an epoch of all samples, from which the Trainer takes how many steps there can be.
    """

    def __init__(self, loader: DataLoader, handler: Handler, whole: int, seed: int) -> None:
        self.loader, self.handler, self.whole, self.seed = loader, handler, whole, seed
        self.dataset = handler

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.loader.generator.manual_seed(self.seed + self.handler.epoch)  # for the workers
        for batch in self.loader:
            yield {**batch, KEY: Indices(self.handler.batch_indices)}

    def __len__(self) -> int:
        return self.whole

    @property
    def left(self) -> int:
        """How many batches the epoch has, a resumed one those that are left."""
        return len(self.loader)


class EpochOfHandler(TrainerCallback):
    """Tells the Trainer's logs the epoch that the handler is at, as a fraction."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.handler.state.steps is None:
            state.epoch = self.handler.progress * self.handler.state.num_epochs


def by_progress(rate: Any, handler: Handler, steps: int) -> Any:
    """Return a schedule over `steps` steps as one over the handler's progress."""
    return lambda _: rate(handler.progress * steps)


def check(trainer: PrunedTrainer) -> None:
    """Raise ValueError for settings under which pruning cannot be right."""
    args, state = trainer.args, trainer.handler.state
    if args.max_steps > 0:
        batches = args.max_steps * args.gradient_accumulation_steps
        if state.steps is None or state.steps.number != batches:
            raise ValueError(
                f"max_steps={args.max_steps} needs a handler of as many batches: "
                f"num_steps={batches}, batch_size={trainer._train_batch_size}"
            )
    elif state.steps is not None or args.num_train_epochs != state.num_epochs:
        found = f"num_epochs={state.num_epochs}" if state.steps is None else f"num_steps={state.steps.number}"
        raise ValueError(
            f"the handler's {found} and num_train_epochs={args.num_train_epochs} differ: pruning has to know "
            "how long the run is"
        )
    if args.train_sampling_strategy not in ("random", "group_by_length"):
        raise ValueError(
            f"train_sampling_strategy={args.train_sampling_strategy!r} is not for pruned epochs: take random "
            "or group_by_length"
        )
    if args.auto_find_batch_size:
        raise ValueError(
            "auto_find_batch_size begins training anew, which a handler cannot: give the batch size"
        )
    if args.n_gpu > 1:
        raise ValueError(
            f"{args.n_gpu} GPUs in one process share a batch out: start a process a GPU with torchrun"
        )
