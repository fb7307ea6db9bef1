"""Retrieval: losses of pairs beside the other pairs of their batch, and how often the right one is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.data.base import Data
from bls_bench.gallery.shown import Shown
from bls_bench.tasks.drawing import enlarged, write_rows
from bls_bench.tasks.objective import Loss, Measure, Objective, Place
from bls_bench.tasks.retrieval.data import ViewBatch, Views
from bls_bench.tasks.retrieval.task import Retrieval
from bls_bench.tasks.showing import batches, picture

# Queries that are drawn at the end of a run, and the places found for each.
SHOWN, FOUND = 6, 4
# Pixels that are looked at together when measuring, and queries that are compared at once.
MEASURED_PIXELS, COMPARED = 2**21, 1024


class Matching(Objective):
    """A batch is a `ViewBatch`; a model returns the vectors of its queries and of its places, (b, d) each."""

    def __init__(self, task: Retrieval, info: Views) -> None:
        super().__init__()
        self.per_sample, self.sharpness = task.per_sample, task.sharpness
        self._losses = {"info_nce": info_nce, "soft_margin": soft_margin}[task.loss]
        self.measured_at_once = max(1, MEASURED_PIXELS // info.image_size**2)

    def loss(self, model: nn.Module, batch: ViewBatch, place: Place, wanted: frozenset[str]) -> Loss:
        queries, places = model(batch.queries, batch.places)
        # In full precision: vectors of length 1 that differ little would be rounded to the same likeness.
        with torch.autocast(queries.device.type, enabled=False):
            losses = self._losses(queries @ places.T, self.sharpness)
        return Loss(losses if self.per_sample else losses.mean())

    def measure(self) -> Recall:
        return Recall()

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw found.png: a row for each of some queries, with the right place and those that are likest."""
        device, measure = next(model.parameters()).device, Recall()
        for batch in data.test.batches(
            list(torch.arange(len(data.test)).split(self.measured_at_once)), 0, device
        ):
            measure.update(model, batch)
        queries, vectors = measure.vectors()
        few = min(SHOWN, len(queries))
        likest = (queries[:few] @ vectors.T).topk(min(FOUND, len(vectors)), 1).indices
        # Only now, and of these alone: the pictures of all places are far more than their vectors.
        wanted = [torch.arange(few), *likest]
        own, *found = data.test.batches(wanted, 0, device)
        rows = [
            [enlarged(image)[0] for image in (query, place, *others.places)]
            for query, place, others in zip(own.queries, own.places, found, strict=True)
        ]
        write_rows(rows, folder / "found.png")


def info_nce(likeness: Tensor, sharpness: float) -> Tensor:
    """Return (b,): cross-entropy of the right place for a query and of the right query for a place, halved.

    likeness: (b, b), of query i and place j.
    """
    logits, own = sharpness * likeness, torch.arange(len(likeness), device=likeness.device)
    both = [F.cross_entropy(one, own, reduction="none") for one in (logits, logits.T)]
    return (both[0] + both[1]) / 2


def soft_margin(likeness: Tensor, sharpness: float) -> Tensor:
    """Return (b,): the mean of log(1 + exp(sharpness * (d_own - d_other))) over all others, both ways.

    d is the squared distance of vectors of length 1, which is 2 - 2 * likeness. A pair alone has a loss of 0.
    """
    own = likeness.diagonal()
    others = ~torch.eye(len(own), dtype=torch.bool, device=own.device)
    both = [F.softplus(2 * sharpness * (one - own[:, None])) * others for one in (likeness, likeness.T)]
    return (both[0] + both[1]).sum(1) / (2 * max(1, len(own) - 1))


class Recall(Measure):
    """The share of queries, in percent, whose place is among the 1, 5, 10 likest, or 1 % of all.

    A place that is as like as the right one counts as before it: vectors that are all alike find nothing.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def update(self, model: nn.Module, batch: ViewBatch) -> None:
        queries, places = model(batch.queries, batch.places)
        self._seen.append((batch.numbers.cpu(), queries.cpu(), places.cpu()))

    def state(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        return self._seen

    def merge(self, states: Sequence[list[tuple[Tensor, Tensor, Tensor]]]) -> None:
        self._seen = [part for state in states for part in state]

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the vectors of queries and places (N, d), in the order of the pairs."""
        numbers, queries, places = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        order = numbers.argsort()
        return queries[order], places[order]

    def compute(self) -> dict[str, float]:
        queries, places = self.vectors()
        ranks = torch.cat(
            [_ranks(few, places, at * COMPARED) for at, few in enumerate(queries.split(COMPARED))]
        )
        bounds = {"R1": 1, "R5": 5, "R10": 10, "R1percent": max(1, len(places) // 100)}
        return {name: 100 * float((ranks < bound).double().mean()) for name, bound in bounds.items()}


def _ranks(queries: Tensor, places: Tensor, first: int) -> Tensor:
    """Return (n,): how many places are as like a query as its own, `first` and on, or more.

    Likeness that is no number is never less: a model that has diverged finds nothing.
    """
    likeness = queries @ places.T
    own = likeness.gather(1, torch.arange(first, first + len(queries))[:, None])
    return (~(likeness < own)).sum(1) - 1


def side_by_side(data: Data, indices: Tensor) -> Iterator[Shown]:
    """Yield the two views of each training pair (n,), the query on the left."""
    batch: ViewBatch
    for batch in batches(data, indices):
        for views in torch.cat([batch.queries, batch.places], 3):
            yield Shown(picture=picture((views * 255).round().to(torch.uint8)))
