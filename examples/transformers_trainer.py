"""The Hugging Face Trainer: python examples/transformers_trainer.py [FOLDER] (or torchrun it)

With FOLDER checkpoints lie there, and the run goes on from the last of them, in the middle of an epoch too.
"""

import sys
import tempfile
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from bls_bench import InfoBatch
from bls_bench.integrations.transformers import PrunedTrainer

EPOCHS = 12


class Classifier(nn.Module):
    """Any model that returns its loss and logits will do, and those of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, pixels: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.layers(pixels)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class DigitsTrainer(PrunedTrainer, Trainer):  # 2
    """Losses of the single samples are computed from the logits; see PrunedTrainer.sample_losses."""  # 3


class StopAt(TrainerCallback):
    def __init__(self, steps: int | None) -> None:
        self.steps = steps

    def on_step_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
        control.should_training_stop = state.global_step == self.steps


def main(folder: Path | None = None, steps: int | None = None) -> tuple[nn.Module, InfoBatch]:
    """Train, at most for so many steps; returns the model and the handler."""
    torch.manual_seed(0)
    pixels, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
    items = [{"pixels": p, "labels": y} for p, y in zip(pixels.float() / 16, labels, strict=True)]

    data = InfoBatch(items[:1500], num_epochs=EPOCHS, prune_ratio=0.5)  # 1
    args = TrainingArguments(
        str(folder or tempfile.mkdtemp()),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=32,
        learning_rate=3e-3,
        eval_strategy="epoch",
        save_strategy="no" if folder is None else "steps",
        save_steps=20,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = DigitsTrainer(
        model=Classifier(),
        args=args,
        train_dataset=data,
        eval_dataset=items[1500:],
        compute_metrics=lambda result: {
            "accuracy": (result.predictions.argmax(1) == result.label_ids).mean()
        },
        callbacks=[StopAt(steps)],
    )
    trainer.train(resume_from_checkpoint=folder is not None and any(folder.glob("checkpoint-*")))
    accuracy = 100 * trainer.evaluate()["eval_accuracy"]
    if trainer.is_world_process_zero():
        print(f"accuracy {accuracy:.1f}%, pruned {data.pruned_percent:.1f}%")
    return trainer.model, data


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
