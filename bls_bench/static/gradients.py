"""Static pruners that match the gradient of all data in the last layer."""

import heapq
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bls_bench.data.memory import host_free
from bls_bench.pruning.selection import largest
from bls_bench.static.memory import shortage
from bls_bench.static.observations import Observations
from bls_bench.static.pruner import ScoringPruner

# GLISTER: how many times the validation gradient is taken anew, and the step it looks ahead.
ROUNDS, STEP = 20, 0.1


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


@dataclass(kw_only=True)
class Glister(ScoringPruner):
    """GLISTER (Killamsetty et al. 2021): the samples whose gradients most lower the loss of all data.

    The greedy Taylor approximation in the last layer, with the training data as validation data.
    """

    copies: ClassVar[int] = 4
    balanced: bool = True

    def pick(self, observed: Observations, count: int, generator: torch.Generator) -> tuple[Tensor, None]:
        return glister(observed, count, generator), None


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


def glister(observed: Observations, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` samples, (count,) int64, those of the highest inner product with the mean gradient.

    In ROUNDS rounds; after each the mean gradient is that of a last layer one step of STEP further down
    the mean gradient of the samples chosen so far.
    """
    left, right = observed.gradients()
    rows, chosen, current = torch.arange(len(left)), torch.zeros(0, dtype=torch.int64), left
    while len(chosen) < count:
        ahead = current.T @ right / len(observed)
        gains = (left @ ahead).mul_(right).sum(1).index_fill_(0, chosen, -torch.inf)
        many = min(-(-count // ROUNDS), count - len(chosen))
        chosen = torch.cat([chosen, largest(gains, many, generator)])
        step = left[chosen].T @ right[chosen] / len(chosen)
        current = (observed.logits - STEP * right @ step.T).softmax(1)
        current[rows, observed.targets] -= 1
    return chosen
