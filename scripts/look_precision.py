"""Plant wrong labels, or duplicates, into scikit-learn's digits and see how many the look page points at.

Prints the tables of docs/look.md. A network of one hidden layer, 20 epochs, batches of 64: seconds a run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import t as student
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from tqdm import tqdm

from bls_bench import DataLoader
from bls_bench.gallery.history import History, facts_of
from bls_bench.pruning.library.handler import Handler
from bls_bench.pruning.pruner import Pruner
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.pruners.random import RandomPruner
from bls_bench.pruning.pruners.seta import SeTaPruner
from bls_bench.pruning.scorer import Scorer
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.bls_centered import BLSCentered
from bls_bench.pruning.scorers.per_sample import PerSampleLoss
from bls_bench.pruning.scorers.random import RandomScore

EPOCHS, BATCH, HIDDEN = 20, 64, 64
WRONG, TWINS = 0.2, 0.05
TOP = 50
RUNS: dict[tuple[str, str], tuple[Callable[[], Pruner], Callable[[], Scorer]]] = {
    ("full data", "per_sample"): (NoPruning, PerSampleLoss),
    ("full data", "bls"): (NoPruning, BatchLossScore),
    ("random, half", "bls"): (partial(RandomPruner, prune_ratio=0.5), BatchLossScore),
    ("InfoBatch", "per_sample"): (InfoBatchPruner, PerSampleLoss),
    ("InfoBatch", "bls"): (InfoBatchPruner, BatchLossScore),
    ("InfoBatch", "bls_centered"): (InfoBatchPruner, BLSCentered),
    ("InfoBatch", "random"): (InfoBatchPruner, RandomScore),
    ("SeTa", "per_sample"): (SeTaPruner, PerSampleLoss),
    ("SeTa", "bls"): (SeTaPruner, BatchLossScore),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    print("| pruner | scorer | pruned % | wrong of the first 50 | of the first 20% | pairs of the first 50 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (pruner, scorer), make in RUNS.items():
        found = np.array([list(shares(make, seed)) for seed in tqdm(seeds, leave=False)])
        cells = [interval(values) for values in found.T[1:]]
        print(f"| {pruner} | `{scorer}` | {100 * found[:, 0].mean():.0f} | {' | '.join(cells)} |", flush=True)


def interval(shares: np.ndarray) -> str:
    """Return the mean in percent with the half width of its 95% interval."""
    half = student.ppf(0.975, len(shares) - 1) * shares.std(ddof=1) / len(shares) ** 0.5
    return f"{100 * shares.mean():.0f} ± {100 * half:.0f}"


def shares(make: tuple[Callable[[], Pruner], Callable[[], Scorer]], seed: int) -> Iterator[float]:
    """Yield the pruned share, and of two lists of suspected labels and one of pairs what is right of them."""
    digits, rng = load_digits(), np.random.default_rng(seed)
    images, clean = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    count = len(clean)

    labels, wrong = clean.clone(), rng.permutation(count)[: int(WRONG * count)]
    labels[wrong] = (labels[wrong] + torch.from_numpy(rng.integers(1, 10, len(wrong)))) % 10
    handler = trained(make, images, labels, seed)
    yield handler.pruned_percent / 100
    assert handler.trace is not None
    suspected = np.argsort(-facts_of(handler.trace.history()).excess, kind="stable")
    for length in (TOP, len(wrong)):
        yield float(np.isin(suspected[:length], wrong).mean())

    twins = rng.permutation(count)[: int(TWINS * count)]
    both = trained(make, torch.cat([images, images[twins]]), torch.cat([clean, clean[twins]]), seed)
    assert both.trace is not None
    pairs = nearest(both.trace.history())[:TOP]
    yield float(np.mean([high >= count and twins[high - count] == low for low, high in pairs]))


def trained(
    make: tuple[Callable[[], Pruner], Callable[[], Scorer]], images: Tensor, labels: Tensor, seed: int
) -> Handler:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    handler = Handler(TensorDataset(images, labels), EPOCHS, make[0](), make[1](), seed, look=True)
    loader = DataLoader(handler, sampler=handler.sampler, batch_size=BATCH)
    for _ in range(EPOCHS):
        for inputs, targets in loader:
            loss = handler.update(F.cross_entropy(model(inputs), targets, reduction="none"))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return handler


def nearest(history: History, width: int = 32) -> list[tuple[int, int]]:
    """Return pairs of samples, those first whose ranks among all scores of an epoch differ the least.

    Only samples whose mean ranks are at most `width` places apart are compared.
    """
    ranks = (np.nan_to_num(history.scores.astype(np.float32)).argsort(1).argsort(1) / history.num_samples).T
    order = ranks.mean(1).argsort()
    found = []
    for step in range(1, width + 1):
        low, high = order[:-step], order[step:]
        found.append(np.stack([np.abs(ranks[low] - ranks[high]).mean(1), low, high], 1))
    table = np.concatenate(found)
    return [(int(min(a, b)), int(max(a, b))) for _, a, b in table[table[:, 0].argsort()]]


if __name__ == "__main__":
    main()
