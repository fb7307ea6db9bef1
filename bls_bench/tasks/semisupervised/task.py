"""Classification with few labels: the settings of the task."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.system.streams import stream
from bls_bench.tasks.base import Metric, Task
from bls_bench.tasks.classification.task import METRICS

if TYPE_CHECKING:
    from torch import Tensor

    from bls_bench.data.base import Data
    from bls_bench.gallery.shown import Shown
    from bls_bench.tasks.semisupervised.algorithms import Algorithm
    from bls_bench.tasks.semisupervised.kinds import Kind
    from bls_bench.tasks.semisupervised.objective import Consistent

NEEDS = {
    "images": frozenset({"images", "classes", "logits"}),
    "sound": frozenset({"sound", "classes", "sound_logits"}),
    "text": frozenset({"text", "classes", "text_logits"}),
}
ALGORITHMS = ("fixmatch", "flexmatch", "dash")
STREAMS = ("unlabelled", "labelled")


@dataclass(frozen=True, kw_only=True)
class Semisupervised(Task):
    """Cross-entropy of a few labelled samples, and consistency of all samples, taken without their labels.

    algorithm: fixmatch, flexmatch or dash. views: what is classified, which has its own random views: images,
    sound or text. labels: labelled samples of each class, drawn by the run's seed. prune: which of the two
    streams is pruned, and whose samples trainer.batch_size counts; epochs are its epochs. ratio: unlabelled
    samples for each labelled one in a step. weight: of the unlabelled loss. threshold: of fixmatch and
    flexmatch, in (0, 1]. warmup, gamma, every, floor: of dash: epochs on labels alone; by what the threshold
    is divided after every so many epochs, and where it stops. max_length: tokens of a text. alone: epochs of
    flexmatch on labels alone, which its paper has not.
    """

    algorithm: str = "fixmatch"
    views: str = "images"
    labels: int = 4
    prune: str = "unlabelled"
    ratio: int = 7
    weight: float = 1.0
    threshold: float = 0.95
    warmup: int = 1
    gamma: float = 1.27
    every: int = 1
    floor: float = 0.05
    max_length: int = 64
    alone: int = settings.added(0, neutral=0)

    def __post_init__(self) -> None:
        for name, allowed in (("algorithm", ALGORITHMS), ("views", tuple(NEEDS)), ("prune", STREAMS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name, least in (("labels", 1), ("ratio", 1), ("warmup", 1), ("every", 1), ("max_length", 3)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.alone < 0:
            raise ValueError(f"alone must be at least 0, got {self.alone}")
        for name in ("weight", "floor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number above 0, got {getattr(self, name)}")
        if not 1 <= self.gamma < math.inf:
            raise ValueError(f"gamma must be a number of at least 1, got {self.gamma}")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {self.threshold}")

    @property
    def needs(self) -> frozenset[str]:
        return NEEDS[self.views]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return METRICS

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"per_sample"})

    @property
    def partial(self) -> bool:
        """Unlabelled samples that are unsure have no loss."""
        return self.prune == "unlabelled"

    def arranged(self, data: Data, seed: int, batch_size: int) -> Data:
        """Return the pruned stream as training data, and the other one beside it.

        Unlabelled are all training samples, the labelled ones too, as in FixMatch and USB. Raises InputError
        for a class with too few samples and for batches that cannot be had.
        """
        from bls_bench.tasks.semisupervised.streams import Endless, Pool, Pruned

        assert data.targets is not None
        chosen = {"labelled": self._labelled(data, seed), "unlabelled": torch.arange(len(data.train))}
        kind, plain = self._kind(data), data.train.plain()
        views = {"labelled": ("weak",), "unlabelled": ("weak", "strong")}
        pools = {name: Pool(name, plain, chosen[name], kind, views[name], seed) for name in STREAMS}
        (other,) = set(STREAMS) - {self.prune}
        beside = Endless(pools[other], self._size_beside(batch_size, len(data.train)))
        return replace(
            data,
            train=Pruned(pools[self.prune]),
            targets=data.targets[chosen[self.prune]],
            beside={other: beside},
        )

    def _labelled(self, data: Data, seed: int) -> Tensor:
        """Draw the labelled samples, (n,) int64 in ascending order."""
        assert data.targets is not None
        smallest = int(data.targets.bincount(minlength=data.info.num_classes).min())
        if self.labels > smallest:
            raise InputError(
                f"task.labels must be at most {smallest}, the training samples of the smallest class, "
                f"got {self.labels}"
            )
        order = torch.randperm(len(data.targets), generator=stream(seed, "labelled"))
        of_class = [order[data.targets[order] == label] for label in range(data.info.num_classes)]
        return torch.cat([some[: self.labels] for some in of_class]).sort().values

    def _size_beside(self, batch_size: int, count: int) -> int:
        """Return the batch of the stream that is not pruned."""
        if self.prune == "labelled":
            size = batch_size * self.ratio
            if size > count:
                raise InputError(
                    f"task.ratio={self.ratio} takes {size} unlabelled samples a step, there are {count}: "
                    "take a smaller ratio or trainer.batch_size"
                )
            return size
        if batch_size % self.ratio:
            raise InputError(
                f"trainer.batch_size={batch_size} unlabelled samples must be a multiple of "
                f"task.ratio={self.ratio}"
            )
        return batch_size // self.ratio

    def _kind(self, data: Data) -> Kind:
        from bls_bench.tasks.semisupervised import images, sound, texts

        if self.views == "text":
            return texts.kind(self.max_length)
        return sound.kind(data) if self.views == "sound" else images.kind(data)

    def build(self, data: Data, seed: int) -> Consistent:
        from bls_bench.tasks.semisupervised.objective import Consistent
        from bls_bench.tasks.semisupervised.streams import Endless, Pruned
        from bls_bench.tasks.text.task import tell_cut

        if self.views == "text":
            tell_cut(data.info, self.max_length)
        pools = {name: cast(Endless, beside).pool for name, beside in data.beside.items()}
        pool = pools.get("unlabelled", cast(Pruned, data.train).pool)
        algorithm = self._algorithm(len(pool.chosen), data.info.num_classes)
        return Consistent(pool.kind.reader, algorithm, self.weight, self.prune)

    def shown(self, data: Data, indices: Tensor) -> Iterator[Shown]:
        from bls_bench.tasks.audio.showing import sounds
        from bls_bench.tasks.semisupervised.streams import Pruned
        from bls_bench.tasks.showing import images
        from bls_bench.tasks.text.showing import sentences

        pool, own = cast(Pruned, data.train).pool, data.targets
        assert own is not None
        # The data set as it was before a stream was taken from it.
        targets = own.new_zeros(len(pool.split)).index_copy(0, pool.chosen, own)
        show = {"images": images, "sound": sounds, "text": sentences}[self.views]
        return show(replace(data, train=pool.split, targets=targets), pool.chosen[indices])

    def _algorithm(self, num_samples: int, num_classes: int) -> Algorithm:
        from bls_bench.tasks.semisupervised.algorithms import Dash, FixMatch, FlexMatch

        if self.algorithm == "fixmatch":
            return FixMatch(self.threshold)
        if self.algorithm == "dash":
            return Dash(self.warmup, self.gamma, self.every, self.floor)
        return FlexMatch(self.threshold, num_samples, num_classes, self.alone)
