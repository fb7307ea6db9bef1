"""A task from outside the project: it gives a batch loss alone, and what it measures is better when lower."""

from dataclasses import dataclass

import torch

from bls_bench.tasks.base import Metric, Task
from bls_bench.tasks.objective import Loss, MeanMeasure, Objective


@dataclass(frozen=True, kw_only=True)
class Brightness(Task):
    """Tell how bright an image is. noise: the deviation of what is added to the training targets."""

    metrics = (Metric("error", "lower"),)
    noise: float = 0.1

    def build(self, data, seed):
        return Telling(self.noise)


class Telling(Objective):
    def __init__(self, noise):
        super().__init__()
        self.noise = noise
        # Moves with every batch and bears on the next loss: a resumed run has to find it again.
        self.register_buffer("level", torch.zeros(()))

    def loss(self, model, batch, place, wanted):
        inputs, _ = batch
        wanted_level = brightness(inputs) + self.noise * torch.randn(
            len(inputs), generator=place.stream("brightness")
        ).to(inputs.device)
        distance = (told(model, inputs) - wanted_level).square().mean()
        size = self.level.square()
        self.level.lerp_(distance.detach(), 0.1)
        return Loss(distance + size, {"distance": distance.detach(), "size": size})

    def measure(self):
        return SquaredError("error")


class SquaredError(MeanMeasure):
    def values(self, model, batch):
        inputs, _ = batch
        return (told(model, inputs) - brightness(inputs)).square()


def told(model, inputs):
    return model(inputs)[:, 0].float().tanh()


def brightness(inputs):
    return inputs.mean((1, 2, 3))
