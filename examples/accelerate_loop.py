"""Hugging Face Accelerate, the same three lines: python examples/accelerate_loop.py (or torchrun it)

Do not pass the loader to prepare: that would share the samples out once more and read a batch ahead. Move
the batches to accelerator.device yourself.
"""

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from bls_bench import BLS, DataLoader, SeTa

EPOCHS = 20


def main() -> None:
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)
    images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images = images.float() / 16
    data = TensorDataset(images[:1500], labels[:1500])

    data = BLS(SeTa(data, num_epochs=EPOCHS, prune_ratio=0.1), alpha=0.7).proxy()  # 1
    loader = DataLoader(data, sampler=data.sampler, batch_size=32)  # 2

    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=3e-3))
    criterion = nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for batch in loader:
            inputs, targets = (part.to(accelerator.device) for part in batch)
            loss = data.update(criterion(model(inputs), targets))  # 3
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
    accuracy = (accelerator.unwrap_model(model)(images[1500:]).argmax(1) == labels[1500:]).float().mean()
    accelerator.print(f"accuracy {100 * accuracy:.1f}%, pruned {data.pruned_percent:.1f}%")
    accelerator.end_training()


if __name__ == "__main__":
    main()
