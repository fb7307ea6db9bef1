"""Classification with few labels: cross-entropy of the labelled, consistency of the unlabelled samples."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bls_bench.tasks.classification.objective import Accuracy
from bls_bench.tasks.objective import Loss, Objective, Place
from bls_bench.tasks.semisupervised.algorithms import Algorithm, Unlabelled
from bls_bench.tasks.semisupervised.kinds import Reader


class Consistent(Objective):
    """A batch is a `StepBatch` of two `Seen`, the labelled and the unlabelled samples of a step.

    The loss is mean(labelled) + weight * mean(unlabelled), where an unlabelled sample that is not sure of its
    class counts 0: its strong view is to get the class of its weak view.
    """

    def __init__(self, reader: Reader, algorithm: Algorithm, weight: float, pruned: str) -> None:
        super().__init__()
        self.reader, self.algorithm, self.weight, self.pruned = reader, algorithm, weight, pruned

    def watch(self, model: nn.Module, wanted: frozenset[str]) -> None:
        self.reader.check(model)

    def loss(self, model: nn.Module, batch: Any, place: Place, wanted: frozenset[str]) -> Loss:
        streams = {self.pruned: batch.own, **batch.beside}
        labelled, unlabelled = streams["labelled"], streams["unlabelled"]
        sizes = [len(labelled.targets), *[len(unlabelled.targets)] * 2]
        # One pass for all, so that BatchNorm sees them together, as in FixMatch.
        logits = model(self.reader.joined([labelled.weak, unlabelled.weak, unlabelled.strong])).float()
        own, weak, strong = logits.split(sizes)
        supervised = F.cross_entropy(own, labelled.targets, reduction="none")
        looked = Unlabelled(unlabelled.indices, weak.detach().softmax(1))
        sure, learnt = self.algorithm(looked, supervised.detach(), place)
        # A model that has diverged is sure of nothing: its losses count, so that the run ends in an error.
        sure = sure | ~looked.probabilities.isfinite().all(1)
        found = self.weight * F.cross_entropy(strong, learnt, reduction="none")
        consistency = torch.where(sure, found, 0.0)
        parts = {
            "labelled": supervised.detach().mean(),
            "unlabelled": consistency.detach().mean(),
            "confident": sure.float().mean(),
        }
        if self.pruned == "labelled":
            return Loss(supervised, parts, beside=consistency.mean())
        return Loss(consistency, parts, counted=sure, beside=supervised.mean())

    def measure(self) -> Accuracy:
        return Accuracy(self.reader.read)
