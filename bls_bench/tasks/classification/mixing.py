"""MixUp and CutMix by timm, and the losses of the single samples rebuilt from mixed ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from timm.data import Mixup

from bls_bench.system.lazy import torch
from bls_bench.tasks.objective import Place

if TYPE_CHECKING:
    from torch import Tensor


class Mixing:
    """Mixes sample i of a batch with sample b - 1 - i; batches must be of even size."""

    def __init__(self, mixup: float, cutmix: float, classes: int) -> None:
        """With both above 0, each batch gets one of them, either as likely."""
        # Smoothing is the loss' own affair: on mixed targets it comes to the same.
        self._mix = Mixup(mixup, cutmix, label_smoothing=0.0, num_classes=classes)

    def __call__(self, inputs: Tensor, targets: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        """Mix `inputs` in place; returns them and the (b, classes) float32 probabilities to learn.

        place: names the stream of random numbers.
        """
        with _numpy_from(place.stream("mix")):
            return self._mix(inputs, targets)


@contextmanager
def _numpy_from(generator: torch.Generator) -> Iterator[None]:
    """Lend numpy's global generator, from which timm draws, the numbers of another one."""
    state = np.random.get_state()
    np.random.seed(int(torch.randint(2**32, (), generator=generator)))
    try:
        yield
    finally:
        np.random.set_state(state)


def rebuilt_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the (b,) losses that the samples of a mixed batch would have had on their own, about.

    logits (b, classes) are of the mixed inputs, labels (b,) int64 of the samples. Sample i is in the
    mixtures i and b - 1 - i, with shares that sum to 1, and so the probabilities of its label in the two
    sum to about the one it would have alone (InfoBatch, A.3); its negative logarithm is the loss.
    """
    probabilities = logits.float().softmax(1)
    own, other = (p.gather(1, labels[:, None])[:, 0] for p in (probabilities, probabilities.flip(0)))
    return -(own + other).clamp_min(torch.finfo(torch.float32).tiny).log()
