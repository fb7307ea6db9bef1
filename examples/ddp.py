"""DistributedDataParallel, the same three lines: torchrun --nproc-per-node 2 examples/ddp.py

No DistributedSampler: the handler's sampler gives each process its share.
"""

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import TensorDataset

from bls_bench import DataLoader, InfoBatch

EPOCHS = 20


def main() -> None:
    dist.init_process_group("gloo")  # "nccl" with a GPU each
    torch.manual_seed(0)
    images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images = images.float() / 16
    data = TensorDataset(images[:1500], labels[:1500])

    data = InfoBatch(data, num_epochs=EPOCHS, prune_ratio=0.5)  # 1
    loader = DataLoader(data, sampler=data.sampler, batch_size=32)  # 2

    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    model = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    criterion = nn.CrossEntropyLoss(reduction="none")
    for _ in range(EPOCHS):
        for inputs, targets in loader:
            loss = data.update(criterion(model(inputs), targets))  # 3
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    accuracy = (model.module(images[1500:]).argmax(1) == labels[1500:]).float().mean()
    if dist.get_rank() == 0:
        print(f"accuracy {100 * accuracy:.1f}%, pruned {data.pruned_percent:.1f}%")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
