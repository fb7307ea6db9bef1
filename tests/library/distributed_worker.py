"""Run by torchrun from test_distributed.py: one process of a job, which saves what it saw."""

import itertools
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from bls_bench import InfoBatch, RandomPruning, RePB, SeTa
from tests.library.helpers import Planted, bls, loader_of

N, EPOCHS = 203, 4
HUGE = 20_000_000
MAKE = {
    "infobatch": lambda data: InfoBatch(data, EPOCHS, prune_ratio=0.6),
    "seta": lambda data: SeTa(data, EPOCHS),
    "repb": lambda data: RePB(data, EPOCHS),
    "random": lambda data: RandomPruning(data, EPOCHS),
    "bls_infobatch": lambda data: bls(InfoBatch(data, EPOCHS)),
    "bls_repb": lambda data: bls(RePB(data, EPOCHS)),
}
# Pruner, whether torch's own loader loads, whether each epoch is left early.
CASES = [(name, False, False) for name in MAKE]
CASES += [("infobatch", True, False), ("bls_repb", True, False), ("infobatch", False, True)]


def train(handler, torchs_own, stop_early):
    """Train a linear model under DDP; returns the batches of each epoch and the state after it."""
    model = DistributedDataParallel(torch.nn.Linear(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    kwargs = {"cls": torch.utils.data.DataLoader} if torchs_own else {"num_workers": 1, "drop_last": True}
    loader = loader_of(handler, **kwargs)
    seen = []
    for epoch in range(EPOCHS):
        seen.append([])
        for number, (indices, losses) in enumerate(loader):
            if stop_early and number == 3:
                break
            out = model(losses[:, None]).squeeze(1)
            given = losses + (out - out.detach())
            optimizer.zero_grad()
            handler.update(given if handler.state.scorer.per_sample else given.mean()).backward()
            optimizer.step()
            seen[epoch].append(indices)
    handler.end_epoch()
    return {
        "seen": seen,
        "scores": handler.scores,
        "weights": handler.weights,
        "percent": handler.pruned_percent,
        "counts": handler.state.counts,
        "state": handler.state_dict(),
    }


class Numbers(Dataset):
    """Item i is i, and there are many."""

    def __len__(self):
        return HUGE

    def __getitem__(self, index):
        return index


def train_huge():
    """A few batches of a data set with indices that float32 cannot hold."""
    handler = InfoBatch(Numbers(), 2)
    seen = []
    for indices in itertools.islice(loader_of(handler, batch_size=1000), 5):
        handler.update((indices % 1009).float())
        seen.append(indices)
    handler.end_epoch()
    known = (~handler.scores.isnan()).nonzero().squeeze(1)
    return {"seen": torch.cat(seen), "known": known, "scores": handler.scores[known]}


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    if sys.argv[2] == "huge":
        result = train_huge()
    else:
        result = {case: train(MAKE[case[0]](Planted(N)), *case[1:]) for case in CASES}
    torch.save(result, f"{sys.argv[1]}/{dist.get_rank()}.pt")
    dist.barrier()
    dist.destroy_process_group()
