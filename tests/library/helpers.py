"""A data set that knows the loss of each of its samples, and the loop that every test runs."""

import torch
from torch.utils.data import Dataset

from bls_bench import BLS, DataLoader, InfoBatch, RandomPruning, RePB, SeTa

HANDLERS = [InfoBatch, SeTa, RePB, RandomPruning]


class Planted(Dataset):
    """Sample i is (i, its loss): whoever gets an item can say what its score has to be."""

    def __init__(self, n):
        self.losses = planted(n)

    def __len__(self):
        return len(self.losses)

    def __getitem__(self, index):
        return index, self.losses[index]


def planted(n):
    """Losses that tell every sample from every other, (n,) float32, in no order."""
    return (torch.randperm(n, generator=torch.Generator().manual_seed(n)) + 1) / n


def loader_of(handler, cls=DataLoader, batch_size=16, **kwargs):
    generator = torch.Generator().manual_seed(0)  # torch would seed its workers from the global one
    return cls(handler, sampler=handler.sampler, batch_size=batch_size, generator=generator, **kwargs)


def train(handler, loader, epochs=1):
    """Run the three lines; returns the samples of each epoch as the loop saw them, batch by batch."""
    seen = []
    for _ in range(epochs):
        seen.append([])
        for indices, losses in loader:
            handler.update(losses if handler.state.scorer.per_sample else losses.mean())
            seen[-1].append(indices)
    return seen


def expect(scores, losses, trained):
    """Assert that exactly the samples of `trained` have scores, and each its own loss."""
    known = torch.zeros(len(losses), dtype=torch.bool)
    for indices in trained:
        known[indices] = True
    assert torch.equal(~scores.isnan(), known)
    assert torch.equal(scores[known], losses[known])


def bls(handler, **kwargs):
    return BLS(handler, **kwargs).proxy()
