"""Detection timed: batches of images with boxes, and steps, beside the loop of torchvision's references.

Both sides augment alike: scale 0.75 to 1.25, shift by a tenth of the side, mirror, and boxes that leave their
image go with them. Both have their images decoded in memory, and both wait for no other process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import v2

from bls_bench.config.compose import composed
from bls_bench.config.run import load
from bls_bench.data.columns import Columns
from bls_bench.engine.devices import make_fabric
from bls_bench.engine.loop import Engine
from bls_bench.system.stopping import StopSignal

# Of every setting.
BASE = ("task=detection", "pruner=none", "scorer=bls", "logger=none")


class Transformed(Dataset):
    """(image, target) of each sample through torchvision's transforms, as its detection references do it."""

    def __init__(self, columns: Columns) -> None:
        self.images = list(columns.columns["images"])
        names = [name for name in columns.columns if name != "images"]
        rows = zip(*(columns.columns[name].rows() for name in names), strict=True)
        self.targets = [dict(zip(names, row, strict=True)) for row in rows]
        self.transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.RandomAffine(0, (0.1, 0.1), (0.75, 1.25), interpolation=v2.InterpolationMode.BILINEAR),
                v2.SanitizeBoundingBoxes(),
                v2.ToDtype(torch.float32, scale=True),
                v2.ToPureTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        image, target = self.images[index], dict(self.targets[index])
        size = (image.shape[-2], image.shape[-1])
        target["boxes"] = tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=size)
        return self.transform(tv_tensors.Image(image), target)


def collated(samples: list[tuple[Tensor, dict[str, Tensor]]]) -> tuple[Any, ...]:
    """Join samples as torchvision's references do: a tuple of images and one of targets."""
    return tuple(zip(*samples, strict=True))


@dataclass(frozen=True)
class DetectionBench:
    """Both sides of one setting: overrides of `task=detection`, such as a data set and its folder."""

    overrides: tuple[str, ...] = ()
    epochs: int = 3

    @cached_property
    def engine(self) -> Engine:
        """The engine, planned long enough for all that is timed."""
        # Only the last epoch is evaluated, which is not timed.
        length = [f"trainer.{key}={self.epochs + 1}" for key in ("epochs", "eval_every")]
        config = load(composed([*BASE, *length, *self.overrides]))
        return Engine(config, config.dataset.load(config.seed), make_fabric(config.trainer))

    @cached_property
    def loader(self) -> DataLoader:
        """The plain side's loader.

        Raises TypeError for a data set that is not in memory.
        """
        train = self.engine.data.train
        if type(train) is not Columns:
            raise TypeError("the data have to be in memory: dataset.in_memory=true")
        size = self.engine.config.trainer.batch_size
        return DataLoader(Transformed(train), size, shuffle=True, collate_fn=collated)

    def input_ratio(self) -> float:
        """Return how many times as fast the engine makes an epoch of batches; time as in `epoch_ratios`."""
        train, device = self.engine.data.train, self.engine.fabric.device
        order = torch.randperm(len(train)).split(self.engine.config.trainer.batch_size)
        return self._seconds(self.loader) / self._seconds(train.batches(order, 0, device))

    def epoch_ratios(self) -> tuple[float, float]:
        """Return how many times as fast an epoch of the engine is as a plain one, and as its steps alone.

        In CPU time of this process; on a GPU of the wall clock. The plain side has torchvision's own
        transform before the detector, which takes a list of images.
        """
        begun = self._now()
        trained = self.engine.epoch(None, StopSignal())["trained"]
        ours = (self._now() - begun) / trained
        epoch, steps = self._plain_seconds()
        return epoch / ours, steps / ours

    @property
    def _now(self) -> Callable[[], float]:
        return time.process_time if self.engine.fabric.device.type == "cpu" else time.perf_counter

    @cached_property
    def _plain(self) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        config = self.engine.config
        model = config.model.build(self.engine.data.info)
        own = model.transform
        assert isinstance(own, GeneralizedRCNNTransform)
        model.transform = GeneralizedRCNNTransform(own.max_size, own.max_size, own.image_mean, own.image_std)
        model.to(self.engine.fabric.device).train()
        return model, config.optimizer.build(model)

    def _plain_seconds(self) -> tuple[float, float]:
        """Return the seconds a sample of an epoch of the plain loop, and those of its steps."""
        (model, optimizer), device = self._plain, self.engine.fabric.device
        seconds, count, started = 0.0, 0, self._now()
        clip = self.engine.config.trainer.grad_clip
        for images, targets in self.loader:
            begun = self._now()
            moved = [{name: value.to(device) for name, value in target.items()} for target in targets]
            losses = sum(model([image.to(device) for image in images], moved).values())
            optimizer.zero_grad()
            losses.backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            losses.item()
            seconds += self._now() - begun
            count += len(images)
        return (self._now() - started) / count, seconds / count

    def _seconds(self, batches: Iterable[Any]) -> float:
        begun = self._now()
        for _ in batches:
            pass
        return self._now() - begun
