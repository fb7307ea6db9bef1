"""A plain PyTorch loop with three lines changed: python examples/plain.py"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from bls_bench import BLS, DataLoader, InfoBatch

EPOCHS = 20


def main() -> None:
    torch.manual_seed(0)
    images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images = images.float() / 16
    data = TensorDataset(images[:1500], labels[:1500])

    data = BLS(InfoBatch(data, num_epochs=EPOCHS, prune_ratio=0.5), alpha=0.7).proxy()  # 1
    loader = DataLoader(data, sampler=data.sampler, batch_size=64)  # 2

    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1 - data.progress)
    criterion = nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for inputs, targets in loader:
            loss = data.update(criterion(model(inputs), targets))  # 3
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    accuracy = (model(images[1500:]).argmax(1) == labels[1500:]).float().mean()
    print(f"accuracy {100 * accuracy:.1f}%, pruned {data.pruned_percent:.1f}%")


if __name__ == "__main__":
    main()
