"""Denoising diffusion: the noise at random times, and how far generated images are from real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bls_bench.data.base import Data, Images
from bls_bench.system.streams import stream
from bls_bench.tasks.diffusion.guidance import make_guidance
from bls_bench.tasks.diffusion.noising import Noising
from bls_bench.tasks.diffusion.space import Space
from bls_bench.tasks.diffusion.task import Diffusion
from bls_bench.tasks.generation.fid import Fid
from bls_bench.tasks.generation.pictures import write_grid
from bls_bench.tasks.objective import Loss, Measure, Objective, Place


class Diffusing(Objective):
    """A batch is (images,) or (images, targets): normalised (b, C, H, W), and (b,) int64 classes.

    The loss of a sample is the mean squared error of its noise, at one random time (Ho et al. 2020, Eq. 14).
    """

    def __init__(self, task: Diffusion, data: Data, space: Space) -> None:
        super().__init__()
        self.info: Images = data.info
        self.per_sample, self.space, self._targets = task.per_sample, space, data.targets
        self.noising = Noising(task, space.bound)
        self.guidance = make_guidance(task, data, self.noising, space)
        self.fid = Fid(data, task.inception, task.samples)

    def loss(self, model: nn.Module, batch: Any, place: Place, wanted: frozenset[str]) -> Loss:
        images = batch[0]
        clean = self.space.encode(images)
        times = torch.randint(self.noising.times, (len(clean),), generator=place.stream("times"))
        noise = torch.randn(clean.shape, generator=place.stream("noise")).to(clean.device)
        times = times.to(clean.device)
        # Without classes there is nothing but class 0, which stands for none.
        targets = batch[1] if self.info.classes else torch.zeros_like(times)
        noisy = self.noising.add(clean, noise, times)
        predicted = model(noisy, times, self.guidance.labels(targets, place))
        losses = (predicted.float() - noise).square().flatten(1).mean(1)
        return Loss(
            losses if self.per_sample else losses.mean(),
            {"time_spearman": spearman(losses.detach(), times)},
            {name: times.float() for name in wanted & {"time"}},
        )

    def measure(self) -> Measure:
        return self.fid.measure(self.sample)

    def sample(self, model: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        """Generate `count` images (n, C, H, W) of pixels in [0, 1], of classes as often as in training."""
        if self._targets is None:
            return self.of_classes(model, torch.zeros(count, dtype=torch.int64), generator)
        chosen = torch.randint(len(self._targets), (count,), generator=generator)
        return self.of_classes(model, self._targets[chosen], generator)

    def of_classes(self, model: nn.Module, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Generate an image of each class (n,), where classes are guided to."""
        device = next(model.parameters()).device
        start = torch.randn(len(targets), *self.space.shape, generator=generator).to(device)
        targets = targets.to(device)

        def noise_in(samples: Tensor, time: Tensor) -> Tensor:
            return self.guidance.noise(model, samples, time.expand(len(samples)), targets)

        return self.space.decode(self.noising.reverse(start, noise_in, generator))

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw samples.png, ten rows of ten; with guidance a row is of one class."""
        targets = (torch.arange(100) // 10) % max(self.info.num_classes, 1)
        pixels = self.of_classes(model, targets, stream(0, "show"))
        write_grid(pixels, folder / "samples.png", columns=10)


def spearman(values: Tensor, others: Tensor) -> Tensor:
    """Return the rank correlation of two (b,) tensors, 0-d, on their device; ties as they come."""
    if len(values) < 2:
        return values.new_zeros((), dtype=torch.float64)
    # Both are the numbers 0 ... b - 1 in some order. torch.corrcoef would wait for the device.
    ranks = torch.stack([values.argsort().argsort(), others.argsort().argsort()]).double()
    centred = ranks - (len(values) - 1) / 2
    return centred.prod(0).sum() / centred[0].square().sum()
