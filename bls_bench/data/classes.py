"""What every data set with a class a sample can be made into: small, long-tailed, redundant, mislabelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Dataset
from bls_bench.system.errors import InputError
from bls_bench.system.lazy import torch
from bls_bench.system.settings import added
from bls_bench.system.streams import stream

if TYPE_CHECKING:
    from torch import Tensor

# The share of the training samples that `duplicates` copies.
COPIED = 0.2


@dataclass(frozen=True, kw_only=True)
class Labelled(Dataset):
    """The base of data sets with a class a sample. All of this is about the training split alone.

    subset: keeps at most this many samples of every class, the first ones. imbalance: a long tail; of C
    classes, class c keeps the first n * imbalance^(-c / (C - 1)) samples, n those of the smallest class, so
    the first class has so many times the samples of the last. label_noise: the share of the samples whose
    label becomes another one, any of the others. duplicates: how often a fifth of the samples occur, copies
    with the label of the original. They follow each other in this order. What is random about them is the
    same in every run, whatever its seed.
    """

    subset: int | None = None
    imbalance: float = added(1.0, neutral=1.0)
    label_noise: float = added(0.0, neutral=0.0)
    duplicates: int = added(1, neutral=1)

    def __post_init__(self) -> None:
        if self.subset is not None and self.subset < 1:
            raise ValueError(f"subset must be null or at least 1, got {self.subset}")
        if not 1 <= self.imbalance < float("inf"):
            raise ValueError(f"imbalance must be at least 1, got {self.imbalance}")
        if not 0 <= self.label_noise < 1:
            raise ValueError(f"label_noise must be in [0, 1), got {self.label_noise}")
        if self.duplicates < 1:
            raise ValueError(f"duplicates must be at least 1, got {self.duplicates}")

    def arranged(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return which training samples there are, with repeats, and the label of each, (K,) int64 both.

        targets: (N,) int64, the classes of all. Raises InputError where a class has too few samples.
        """
        kept = first_of_each_class(targets, self.subset)
        if self.imbalance > 1:
            kept = kept[long_tail(targets[kept], self.imbalance)]
        labels = targets[kept]
        if self.label_noise:
            labels = mislabelled(labels, self.label_noise)
        if self.duplicates > 1:
            drawn = torch.randperm(len(kept), generator=stream(0, "duplicates"))[: round(COPIED * len(kept))]
            order = torch.cat([torch.arange(len(kept)), drawn.sort().values.repeat(self.duplicates - 1)])
            kept, labels = kept[order], labels[order]
        return kept, labels


@dataclass(frozen=True, kw_only=True)
class ClassDataset(Labelled):
    """The base of images with a class each.

    augment: whether training images are cropped and mirrored at random, as the data set does it.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"images", "classes"})
    augment: bool = added(True, neutral=True)


def first_of_each_class(targets: Tensor, count: int | None) -> Tensor:
    """Return the (K,) int64 indices of the first `count` samples of every class, ascending.

    `targets` is (N,) int64; `count` None keeps all N. Raises InputError if some class has fewer.
    """
    if count is None:
        return torch.arange(len(targets))
    smallest = int(targets.bincount().min())
    if count > smallest:
        raise InputError(
            f"dataset.subset must be at most {smallest}, the size of the smallest class, got {count}"
        )
    by_class = [(targets == label).nonzero().flatten()[:count] for label in targets.unique()]
    return torch.cat(by_class).sort().values


def long_tail(targets: Tensor, imbalance: float) -> Tensor:
    """Return the (K,) int64 indices of a long tail of `targets`, (N,) int64, ascending.

    Raises InputError if nothing would be left of the last class.
    """
    classes = targets.unique()
    largest = int(targets.bincount()[classes].min())
    if largest < imbalance:
        raise InputError(
            f"dataset.imbalance must be at most {largest}, the size of the smallest class, got {imbalance:g}"
        )
    last = max(len(classes) - 1, 1)
    sizes = [round(largest * imbalance ** (-place / last)) for place in range(len(classes))]
    parts = [
        (targets == label).nonzero().flatten()[:size] for label, size in zip(classes, sizes, strict=True)
    ]
    return torch.cat(parts).sort().values


def mislabelled(targets: Tensor, share: float) -> Tensor:
    """Return (N,) labels of which the share is another class than in `targets`, at random."""
    classes, places = targets.unique(return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"dataset.label_noise must be 0 for data of one class, got {share:g}")
    generator = stream(0, "label_noise")
    wrong = torch.randperm(len(targets), generator=generator)[: round(share * len(targets))]
    shift = torch.randint(1, len(classes), (len(wrong),), generator=generator)
    labels = targets.clone()
    labels[wrong] = classes[(places[wrong] + shift) % len(classes)]
    return labels
