"""Lightning's Trainer: python examples/lightning_trainer.py [FOLDER] (or torchrun it)

With FOLDER checkpoints lie there, and the run goes on from the last of them, in the middle of an epoch too.
"""

import os
import sys
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from bls_bench import DataLoader, InfoBatch
from bls_bench.integrations.lightning import PruningCallback

EPOCHS = 12


class Classifier(lightning.LightningModule):
    def __init__(self, data: InfoBatch) -> None:
        super().__init__()
        self.data = data
        self.model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        self.criterion = nn.CrossEntropyLoss(reduction="none")

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        inputs, targets = batch
        return self.data.update(self.criterion(self.model(inputs), targets))  # 3

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        accuracy = (self.model(batch[0]).argmax(1) == batch[1]).float().mean()
        self.log("accuracy", 100 * accuracy, sync_dist=True)

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.parameters(), lr=3e-3)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1 - self.data.progress)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def main(folder: Path | None = None, steps: int = -1) -> tuple[nn.Module, InfoBatch]:
    """Train, at most for so many steps; returns the model and the handler."""
    lightning.seed_everything(0, verbose=False)
    images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    images = images.float() / 16
    data, validation = (
        TensorDataset(images[:1500], labels[:1500]),
        TensorDataset(images[1500:], labels[1500:]),
    )

    data = InfoBatch(data, num_epochs=EPOCHS, prune_ratio=0.5)  # 1
    loader = DataLoader(data, sampler=data.sampler, batch_size=32)  # 2

    module, processes = Classifier(data), int(os.environ.get("WORLD_SIZE", 1))
    saving = [] if folder is None else [ModelCheckpoint(folder, every_n_train_steps=20, save_last=True)]
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        max_steps=steps,
        callbacks=[PruningCallback(data), *saving],
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        use_distributed_sampler=False,  # the handler's sampler gives each process its share
        logger=False,
        enable_checkpointing=folder is not None,
        enable_progress_bar=False,
    )
    resume = "last" if folder is not None and folder.exists() else None
    trainer.fit(module, loader, DataLoader(validation, batch_size=297), ckpt_path=resume, weights_only=False)
    if trainer.is_global_zero:
        print(f"accuracy {trainer.callback_metrics['accuracy']:.1f}%, pruned {data.pruned_percent:.1f}%")
    return module.model, data


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
