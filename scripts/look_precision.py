"""Plant wrong labels and duplicates into scikit-learn's digits, and see how many the scores point at.

Prints the table of docs/look.md: a small network, a fifth of the labels wrong, a few seeds.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import t as student
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from bls_bench import BLS, DataLoader, InfoBatch, RandomPruning, SeTa
from bls_bench.gallery.history import facts_of
from bls_bench.pruning.library.handler import Handler
from bls_bench.pruning.pruners.infobatch import InfoBatchPruner
from bls_bench.pruning.pruners.none import NoPruning
from bls_bench.pruning.scorers.bls import BatchLossScore
from bls_bench.pruning.scorers.bls_centered import BLSCentered
from bls_bench.pruning.scorers.per_sample import PerSampleLoss

WRONG = 0.2
RUNS = {
    "full data, per-sample losses": lambda data, E, s: Handler(data, E, NoPruning(), PerSampleLoss(), s, look=True),
    "InfoBatch, per-sample losses": lambda data, E, s: InfoBatch(data, E, seed=s, look=True),
    "SeTa, per-sample losses": lambda data, E, s: SeTa(data, E, seed=s, look=True),
    "full data, BLS": lambda data, E, s: Handler(data, E, NoPruning(), BatchLossScore(), s, look=True),
    "InfoBatch, BLS": lambda data, E, s: BLS(InfoBatch(data, E, seed=s, look=True)).proxy(),
    "SeTa, BLS": lambda data, E, s: BLS(SeTa(data, E, seed=s, look=True)).proxy(),
    "InfoBatch, bls_centered": lambda data, E, s: Handler(data, E, InfoBatchPruner(), BLSCentered(), s, look=True),
    "random pruning, last batch loss": lambda data, E, s: RandomPruning(data, E, seed=s, look=True),
}


def run(make, images, labels, epochs, batch, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    handler = make(TensorDataset(images, labels), epochs, seed)
    loader = DataLoader(handler, sampler=handler.sampler, batch_size=batch)
    for _ in range(epochs):
        for inputs, targets in loader:
            loss = handler.update(F.cross_entropy(model(inputs), targets, reduction="none"))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return handler


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    words = parser.parse_args()
    digits = load_digits()
    images, clean = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    n = len(clean)
    for name, make in RUNS.items():
        rows = []
        for seed in range(words.seeds):
            rng = np.random.default_rng(seed)
            wrong = np.zeros(n, bool)
            wrong[rng.permutation(n)[: int(WRONG * n)]] = True
            labels = clean.clone()
            labels[wrong] = (labels[wrong] + torch.from_numpy(rng.integers(1, 10, wrong.sum()))) % 10
            handler = run(make, images, labels, words.epochs, words.batch, seed)
            facts = facts_of(handler.trace.history())
            row = []
            for value in (facts.excess, facts.mean, handler.scores.numpy(), facts.times):
                order = np.argsort(-np.nan_to_num(value, nan=-1e9), kind="stable")
                row += [wrong[order[:k]].mean() for k in (50, int(wrong.sum()))]
            rows.append([*row, handler.pruned_percent])
        a = np.array(rows)
        print(f"{name:35s}", " ".join(f"{m:.2f}" for m in a.mean(0)), flush=True)


if __name__ == "__main__":
    main()
