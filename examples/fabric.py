"""Lightning Fabric, the same three lines: python examples/fabric.py (or torchrun it)

Pass use_distributed_sampler=False: the handler's sampler gives each process its share.
"""

import os

import torch
from lightning_fabric import Fabric
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from bls_bench import BLS, DataLoader, RePB

EPOCHS = 20


def main() -> None:
    processes = int(os.environ.get("WORLD_SIZE", 1))
    fabric = Fabric(accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto")
    fabric.launch()
    fabric.seed_everything(0, verbose=False)
    images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images = images.float() / 16
    data = TensorDataset(images[:1500], labels[:1500])

    data = BLS(RePB(data, num_epochs=EPOCHS, prune_ratio=0.5), alpha=0.7).proxy()  # 1
    loader = DataLoader(data, sampler=data.sampler, batch_size=32)  # 2
    loader = fabric.setup_dataloaders(loader, use_distributed_sampler=False)

    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    model, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), lr=3e-3))
    criterion = nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for inputs, targets in loader:
            loss = data.update(criterion(model(inputs), targets))  # 3
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
    accuracy = (model.module(images[1500:]).argmax(1) == labels[1500:]).float().mean()
    fabric.print(f"accuracy {100 * accuracy:.1f}%, pruned {data.pruned_percent:.1f}%")


if __name__ == "__main__":
    main()
