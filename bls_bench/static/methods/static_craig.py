"""CRAIG: keep the samples whose gradients stand for all others'."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner
from bls_bench.system.lazy import torch
from bls_bench.system.memory import host_free, shortage

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class Craig(ScoringPruner):
    """CRAIG (Mirzasoleiman et al. 2020): the samples whose gradients stand for all others'.

    Facility location over last-layer gradients, greedily. A sample's weight is how many samples it stands
    for, scaled to a mean of 1; one that several chosen ones are equally near to counts for each by an equal
    share, so none stands for nothing. Memory is quadratic in the largest class, or in N without `balanced`.
    """

    balanced: bool = True

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n = len(observed)
        if missing := shortage(2 * 4 * n**2, host_free(), f"the distances between {n} samples"):
            raise ValueError(missing)
        similarity = gradient_similarity(*observed.gradients())
        chosen = facility_location(similarity, count)
        near = similarity[chosen]
        near.eq_(near.amax(0))
        return chosen, near.div_(near.sum(0)).sum(1) * (count / n)


def gradient_similarity(left: Tensor, right: Tensor) -> Tensor:
    """Return (n, n) largest distance less distance, of gradients given by their factors (n, C), (n, d).

    Two such matrices are in memory at most.
    """
    products = (left @ left.T).mul_(right @ right.T)
    squares = products.diagonal()
    distances = (squares[:, None] + squares).sub_(products, alpha=2).clamp_(min=0).sqrt_().fill_diagonal_(0)
    return torch.sub(distances.max(), distances, out=distances)


def facility_location(similarity: Tensor, count: int) -> Tensor:
    """Return `count` rows S of (n, n) that greedily maximise sum_i max_{j in S} s_ij, (count,) int64.

    Lazy: a gain only ever falls, so one that is still the best after an update is the best of all.
    """
    covered = torch.zeros(len(similarity))
    heap = [(-gain, j) for j, gain in enumerate(similarity.sum(1).tolist())]
    heapq.heapify(heap)
    chosen: list[int] = []
    while len(chosen) < count:
        _, j = heapq.heappop(heap)
        gain = float((similarity[j] - covered).clamp_(min=0).sum())
        if heap and gain < -heap[0][0]:
            heapq.heappush(heap, (-gain, j))
            continue
        chosen.append(j)
        covered = torch.maximum(covered, similarity[j])
    return torch.tensor(chosen, dtype=torch.int64)
