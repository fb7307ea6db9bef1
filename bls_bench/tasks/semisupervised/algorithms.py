"""Which unlabelled samples are sure enough, and what they are to be: FixMatch, FlexMatch, Dash."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.system.processes import gather, process_rank
from bls_bench.tasks.objective import Place

# Of Dash, as its authors set them.
MARGIN = 1.0001
TEMPERATURE = 0.5


class Unlabelled(NamedTuple):
    """A batch of unlabelled samples in the weak view.

    indices: (b,) int64. probabilities: (b, C) of the classes, without gradients.
    """

    indices: Tensor
    probabilities: Tensor


class Algorithm(nn.Module):
    """What it remembers is the same on all processes, and part of the checkpoint."""

    def forward(self, unlabelled: Unlabelled, supervised: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        """Return who is sure, (b,) bool, and the (b,) classes or (b, C) probabilities to be learnt.

        supervised: (m,) losses of the labelled samples of the same step.
        """
        raise NotImplementedError


class FixMatch(Algorithm):
    """Sure is who has a class with a probability of at least `threshold` (Sohn et al. 2020, Equation 4)."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, unlabelled: Unlabelled, supervised: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        confidence, classes = unlabelled.probabilities.max(1)
        return confidence >= self.threshold, classes


class FlexMatch(Algorithm):
    """A threshold for each class, lower for one that is learnt less (Zhang et al. 2021, Equations 5 to 12).

    For `alone` epochs only labelled samples count, which is not in the paper: its thresholds begin at 0, so
    that every sample counts from the first step, whatever is guessed of it.
    classes: (N,) int64, the last class that each sample was sure of by `threshold`, -1 for none so far.
    thresholds: (C,), of the step that runs; all its parts have the same.
    """

    classes: Tensor
    thresholds: Tensor

    def __init__(self, threshold: float, num_samples: int, num_classes: int, alone: int = 0) -> None:
        super().__init__()
        self.threshold, self.alone = threshold, alone
        self.register_buffer("classes", torch.full((num_samples,), -1))
        self.register_buffer("thresholds", torch.zeros(num_classes))

    def forward(self, unlabelled: Unlabelled, supervised: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        if place.part == 0:
            self.thresholds.copy_(self._thresholds())
        confidence, classes = unlabelled.probabilities.max(1)
        sure = confidence >= self.thresholds[classes]
        noted = torch.where(confidence >= self.threshold, classes, self.classes[unlabelled.indices])
        self.classes[everywhere(unlabelled.indices)] = everywhere(noted)
        return sure & (place.epoch >= self.alone), classes

    def _thresholds(self) -> Tensor:
        counts = self.thresholds.new_zeros(len(self.thresholds) + 1)
        counts.index_add_(0, self.classes + 1, torch.ones_like(self.classes, dtype=counts.dtype))
        # The first is of those without a class: while they are the most, all thresholds are low.
        learnt = counts[1:] / counts.max()
        return self.threshold * learnt / (2 - learnt)


class Dash(Algorithm):
    """Sure is whose loss is at most a threshold that falls (Xu et al. 2021, Algorithm 1).

    The loss is that of the most likely class. For `warmup` epochs only labelled samples count; the threshold
    begins at their mean loss in the last of these, is divided by `gamma` after every `every` epochs and
    stops at `floor`. Before it is there, classes are learnt as sharpened probabilities.
    losses: the sum and number of the labelled losses of the last epoch of the warm-up.
    """

    losses: Tensor

    def __init__(self, warmup: int, gamma: float, every: int, floor: float) -> None:
        super().__init__()
        self.warmup, self.gamma, self.every, self.floor = warmup, gamma, every, floor
        self.register_buffer("losses", torch.zeros(2))

    def forward(self, unlabelled: Unlabelled, supervised: Tensor, place: Place) -> tuple[Tensor, Tensor]:
        if place.epoch == self.warmup - 1:
            found = everywhere(torch.stack([supervised.sum(), supervised.new_tensor(len(supervised))]))
            self.losses += found.view(-1, 2).sum(0)
        probabilities = unlabelled.probabilities
        confidence, classes = probabilities.max(1)
        threshold = self.threshold(place.epoch)
        sharp = probabilities ** (1 / TEMPERATURE)
        certain = F.one_hot(classes, probabilities.shape[1]).to(sharp.dtype)
        learnt = torch.where(threshold > self.floor, sharp / sharp.sum(1, keepdim=True), certain)
        return -confidence.log() <= threshold, learnt

    def threshold(self, epoch: int) -> Tensor:
        """Return the 0-d threshold of an epoch; below all losses in the warm-up."""
        if epoch < self.warmup:
            return self.losses.new_tensor(-torch.inf)
        falls = (epoch - self.warmup) // self.every
        return (MARGIN * self.gamma**-falls * self.losses[0] / self.losses[1]).clamp_min(self.floor)


def everywhere(values: Tensor) -> Tensor:
    """Return the (n,) values of all processes, one after the other; a collective call."""
    return values if process_rank()[1] == 1 else torch.cat(gather(values)).to(values.device)
