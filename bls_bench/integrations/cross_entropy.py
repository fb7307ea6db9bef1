"""The cross-entropy of each sample, and whether it is the loss whose place it is to take."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IGNORED = -100  # the label of what does not count
MIXED = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp8": torch.bfloat16}
REMEDY = (
    "override sample_losses, let compute_loss_func return losses of shape (b,), or wrap the handler in BLS"
)


@dataclass(frozen=True)
class CrossEntropies:
    """losses: (b,) float32, each sample's mean over its labels. counts: (b,), how many labels those are.

    dtype: that of the logits.
    """

    losses: Tensor
    counts: Tensor
    dtype: torch.dtype

    @classmethod
    def of(cls, logits: Any, labels: Tensor, smoothing: float, causal: bool) -> CrossEntropies:
        """Take logits (b, c) or (b, t, c), with labels of classes or, of the logits' shape, of shares.

        In a causal model each token predicts the next one. Raises ValueError for what has no cross-entropy.
        """
        check_fit(logits, labels)
        scores, labels = logits.float(), labels.to(logits.device)
        if causal and scores.ndim == 3:
            scores, labels = scores[:, :-1], labels[:, 1:]
        shares = labels.is_floating_point()
        targets = labels.movedim(-1, 1).float() if shares else labels
        losses = F.cross_entropy(scores.movedim(-1, 1), targets, reduction="none", label_smoothing=smoothing)
        counted = torch.ones_like(losses) if shares else labels != IGNORED
        sums, counts = (values.reshape(len(losses), -1).sum(1) for values in (losses, counted))
        return cls(sums / counts.clamp(min=1), counts, logits.dtype)

    @property
    def means(self) -> Tensor:
        """(2,): the mean over all labels, as models of transformers take it, and that over samples."""
        losses = self.losses.detach()
        return torch.stack([(losses * self.counts).sum() / self.counts.sum(), losses.mean()])

    def are_of(self, loss: Tensor, dtype: torch.dtype) -> bool:
        """Whether the 0-d `loss` is one of their means but for rounding, if it was computed in `dtype`.

        True for a loss that is NaN or infinite, of which nothing can be said. Waits for the device.
        """
        loss = loss.detach().to(self.losses)
        close = torch.isclose(self.means, loss, rtol=max(1e-4, 2 * torch.finfo(dtype).eps), atol=1e-5)
        return bool(close.any() | ~loss.isfinite())


def cross_entropies(trainer: Any, outputs: Any, labels: Tensor, causal: Collection[str]) -> CrossEntropies:
    """Return those of a model's outputs, smoothed and shifted as a Hugging Face Trainer or the model does it.

    causal: the names of the classes that shift. Raises ValueError for what has no cross-entropy.
    """
    if isinstance(outputs, dict):
        logits = outputs.get("logits")
    else:
        # Who takes the loss in place of the model keeps the labels from it: its logits come first then.
        first = 1 if trainer.label_smoother is None and trainer.compute_loss_func is None else 0
        logits = next(iter(outputs[first:]), None)
    model = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    return CrossEntropies.of(logits, labels, smoothing_of(trainer), is_causal(model, causal))


def in_place_of(loss: Tensor, ours: CrossEntropies, trainer: Any) -> Tensor:
    """Return the (b,) losses to train on in place of a batch's 0-d `loss`; ValueError if that is another.

    Asked of every batch: class weights make no difference where all samples are of one class. The wait is
    short, since the Trainer waits for each loss anyway, to see whether it is finite.
    """
    dtype = loss.dtype
    if smoothing_of(trainer):  # the Trainer's loss rounds as the logits do, and adds float32 to that
        dtype = coarsest(dtype, ours.dtype)
    if ours.are_of(loss, dtype):
        return ours.losses
    # A compiled model may take its loss from logits that were not yet rounded to those that it returns.
    mixed = MIXED.get(trainer.accelerator.mixed_precision, dtype)
    if is_compiled(trainer.model_wrapped) and ours.are_of(loss, coarsest(dtype, ours.dtype, mixed)):
        return ours.losses
    raise ValueError(
        f"the batch has a loss of {float(loss.detach()):.6g} and its logits a mean cross-entropy of "
        f"{float(ours.means[0]):.6g}, which would be trained on in its place: {REMEDY}"
    )


def smoothing_of(trainer: Any) -> float:
    """Return how much the Trainer smooths labels; it does not where it calls a function for the loss."""
    smoother = trainer.label_smoother if trainer.compute_loss_func is None else None
    return 0.0 if smoother is None else float(smoother.epsilon)


def check_fit(logits: Any, labels: Tensor) -> None:
    """Raise ValueError for logits and labels that have no cross-entropy."""
    if not isinstance(logits, Tensor):
        raise ValueError(f"the model gave no logits, from which the loss of each sample would come: {REMEDY}")
    shape = logits.shape if labels.is_floating_point() else logits.shape[:-1]
    # Of one class the cross-entropy is always 0: such a model predicts numbers.
    if logits.ndim not in (2, 3) or labels.shape != shape or logits.shape[-1] == 1:
        raise ValueError(
            f"logits {tuple(logits.shape)} with {labels.dtype} labels {tuple(labels.shape)} have no "
            f"cross-entropy, from which the loss of each sample would come: {REMEDY}"
        )


def is_causal(model: nn.Module, names: Collection[str]) -> bool:
    """Whether the names have the model's class, that of the one inside PEFT, or one that it derives from.

    With label smoothing the Trainer itself does not look at the classes that it derives from, and does not
    shift the labels: there the losses differ, and the model is refused.
    """
    peft = sys.modules.get("peft")  # who has a model of it has imported it
    if peft is not None and isinstance(model, peft.PeftModel):
        model = model.get_base_model()
    elif peft is not None and isinstance(model, peft.PeftMixedModel):
        model = model.base_model.model
    return any(base.__name__ in names for base in type(model).__mro__)


def is_compiled(model: nn.Module) -> bool:
    """Whether torch.compile made any part of the model, or a part's own compile()."""
    compiled = torch._dynamo.OptimizedModule
    return any(isinstance(part, compiled) or part._compiled_call_impl is not None for part in model.modules())


def coarsest(*dtypes: torch.dtype) -> torch.dtype:
    """Return the floating-point dtype that rounds most."""
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)
