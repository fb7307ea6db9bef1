"""Lightning's Trainer, the same three lines: python examples/lightning_trainer.py (or torchrun it)

Pass use_distributed_sampler=False: the handler's sampler gives each process its share.
"""

import os

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from bls_bench import DataLoader, InfoBatch

EPOCHS = 20


class Classifier(lightning.LightningModule):
    def __init__(self, data: InfoBatch) -> None:
        super().__init__()
        self.data = data
        self.model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        self.criterion = nn.CrossEntropyLoss(reduction="none")

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        inputs, targets = batch
        return self.data.update(self.criterion(self.model(inputs), targets))  # 3

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def main() -> None:
    lightning.seed_everything(0, verbose=False)
    images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images = images.float() / 16
    data = TensorDataset(images[:1500], labels[:1500])

    data = InfoBatch(data, num_epochs=EPOCHS, prune_ratio=0.5)  # 1
    loader = DataLoader(data, sampler=data.sampler, batch_size=32)  # 2

    module, processes = Classifier(data), int(os.environ.get("WORLD_SIZE", 1))
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    accuracy = (module.model(images[1500:]).argmax(1) == labels[1500:]).float().mean()
    if trainer.is_global_zero:
        print(f"accuracy {100 * accuracy:.1f}%, pruned {data.pruned_percent:.1f}%, epoch {data.epoch}")


if __name__ == "__main__":
    main()
