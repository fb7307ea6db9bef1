"""Hugging Face Accelerate: a loader that `prepare` takes as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

try:
    from accelerate.state import GradientState, PartialState
    from accelerate.utils import send_to_device
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"bls_bench.integrations.accelerate needs `pip install accelerate`: {error}"
    ) from error

from torch.utils.data import Dataset

from bls_bench.pruning.library import loader


class DataLoader(loader.DataLoader):
    """bls_bench.DataLoader for `accelerator.prepare`: batches on the process' device, none read ahead.

    What Accelerate makes of any other loader shares the samples out once more and reads a batch ahead, which
    `update` refuses. With this one `accelerator.accumulate` steps on the last batch of each epoch, however
    short. The handler's state goes into Accelerate's checkpoints by
    `accelerator.register_for_checkpointing(handler)`.
    """

    _is_accelerate_prepared = True  # what Accelerate asks before it wraps a loader
    # What it asks while a loader runs: whether this batch is the last, how many samples are repeats (-1).
    end_of_dataloader = False
    remainder = -1

    def __init__(self, dataset: Dataset, *args: Any, **kwargs: Any) -> None:
        """Raise ValueError for a loader without a handler: Accelerate prepares torch's own for evaluation."""
        super().__init__(dataset, *args, **kwargs)
        if self.handler is None:
            raise ValueError(
                "this loader is for a handler's samples: to evaluate, prepare torch's DataLoader"
            )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        gradients, device, length = GradientState(), PartialState().device, None
        self.end_of_dataloader = False
        gradients._add_dataloader(self)
        try:
            for number, batch in enumerate(super().__iter__(), 1):
                # Known with the first batch: before, the epoch that a `break` left may still be open.
                length = loader.sized(self) if number == 1 else length
                self.end_of_dataloader = number == length
                yield send_to_device(batch, device, non_blocking=self.pin_memory)
        finally:
            gradients._remove_dataloader(self)
