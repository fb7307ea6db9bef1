"""Hugging Face Accelerate, the same three lines: python examples/accelerate_loop.py [FOLDER] (or torchrun it)

With FOLDER checkpoints lie there, and the run goes on from the last of them, in the middle of an epoch too.
"""

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from bls_bench import BLS, SeTa
from bls_bench.integrations.accelerate import DataLoader

EPOCHS = 12


def main(folder: Path | None = None, steps: int | None = None) -> tuple[nn.Module, SeTa]:
    """Train, at most for so many steps; returns the model and the handler."""
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)
    images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images = images.float() / 16
    data, validation = (
        TensorDataset(images[:1500], labels[:1500]),
        TensorDataset(images[1500:], labels[1500:]),
    )

    data = BLS(SeTa(data, num_epochs=EPOCHS, prune_ratio=0.2), alpha=0.7).proxy()  # 1
    loader = DataLoader(data, sampler=data.sampler, batch_size=32)  # 2

    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    validation = torch.utils.data.DataLoader(validation, batch_size=99)
    model, optimizer, loader, validation = accelerator.prepare(model, optimizer, loader, validation)
    accelerator.register_for_checkpointing(data)
    if folder is not None and folder.exists():
        accelerator.load_state(folder)
    criterion, step = nn.CrossEntropyLoss(), 0
    for _ in range(data.epoch, EPOCHS):
        for inputs, targets in loader:
            if step == steps:
                return model, data
            loss = data.update(criterion(model(inputs), targets))  # 3
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            step += 1
            if folder is not None and step % 20 == 0:
                accelerator.save_state(folder)
    right = total = 0
    for inputs, targets in validation:
        hits = accelerator.gather_for_metrics(model(inputs).argmax(1) == targets)
        right, total = right + int(hits.sum()), total + len(hits)
    accelerator.print(f"accuracy {100 * right / total:.1f}%, pruned {data.pruned_percent:.1f}%")
    accelerator.end_training()
    return accelerator.unwrap_model(model), data


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
