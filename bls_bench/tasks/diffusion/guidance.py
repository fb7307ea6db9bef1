"""How samples are led to their class."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.data.base import Data
from bls_bench.system.errors import InputError
from bls_bench.tasks.diffusion.noising import Noising
from bls_bench.tasks.diffusion.space import Space
from bls_bench.tasks.diffusion.task import Diffusion
from bls_bench.tasks.generation.fixed import trained, training_pixels
from bls_bench.tasks.objective import Place


class Guidance:
    """None: the model learns and generates without classes.

    Where the data have classes, the model has one more, which stands for none.
    """

    def __init__(self, data: Data) -> None:
        self._nothing = data.info.num_classes

    def labels(self, targets: Tensor, place: Place) -> Tensor:
        """Return the classes that the model is told in training, for the true ones (b,) int64."""
        return torch.full_like(targets, self._nothing)

    def noise(self, model: nn.Module, samples: Tensor, times: Tensor, targets: Tensor) -> Tensor:
        """Return the noise in samples (n, C, H, W) at times (n,), on the way to their classes `targets`."""
        return model(samples, times, torch.full_like(targets, self._nothing)).float()


class ClassifierFree(Guidance):
    """The model learns with the class, or now and then without; the difference is the way to the class."""

    def __init__(self, data: Data, drop: float, scale: float) -> None:
        super().__init__(data)
        self._drop, self._scale = drop, scale

    def labels(self, targets: Tensor, place: Place) -> Tensor:
        dropped = torch.rand(len(targets), generator=place.stream("drop")) < self._drop
        return targets.masked_fill(dropped.to(targets.device), self._nothing)

    def noise(self, model: nn.Module, samples: Tensor, times: Tensor, targets: Tensor) -> Tensor:
        labels = torch.cat([targets, torch.full_like(targets, self._nothing)])
        both = model(torch.cat([samples, samples]), torch.cat([times, times]), labels).float()
        told, untold = both.chunk(2)
        return untold + self._scale * (told - untold)


class ByClassifier(Guidance):
    """A classifier of noisy samples tells the way, by its gradient. It is trained first, always alike."""

    def __init__(self, data: Data, scale: float, noising: Noising, space: Space) -> None:
        super().__init__(data)
        self._scale, self._noising = scale, noising
        info, targets = data.info, cast(Tensor, data.targets)
        pixels, content = training_pixels(data)
        mean, std = (torch.tensor(values)[:, None, None] for values in (info.mean, info.std))

        def loss(network: nn.Module, chosen: Tensor, generator: torch.Generator) -> Tensor:
            clean = space.encode((pixels[chosen] - mean) / std)
            times = torch.randint(noising.times, (len(chosen),), generator=generator)
            noisy = noising.add(clean, torch.randn(clean.shape, generator=generator), times)
            return F.cross_entropy(network(noisy, noising.share(times)), targets[chosen])

        purpose = f"guide/{noising.name}/{space.shape}"
        self._classifier = trained(
            purpose, content, len(targets), lambda: NoisyClassifier(space.shape[0], info.num_classes), loss
        )

    def noise(self, model: nn.Module, samples: Tensor, times: Tensor, targets: Tensor) -> Tensor:
        predicted = super().noise(model, samples, times, targets)
        share = self._noising.share(times)
        with torch.enable_grad():
            seen = samples.detach().float().requires_grad_()
            logits = self._classifier.to(samples.device)(seen, share)
            (uphill,) = torch.autograd.grad(-F.cross_entropy(logits, targets, reduction="sum"), seen)
        return predicted - self._scale * (1 - share).sqrt()[:, None, None, None] * uphill


class NoisyClassifier(nn.Module):
    """Three convolutions, which see the share of noise as one more channel."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels + 1, 32, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, classes),
        )

    def forward(self, noisy: Tensor, share: Tensor) -> Tensor:
        """noisy (b, C, H, W), share (b,) of the variance that is still the sample's own."""
        plane = share.sqrt()[:, None, None, None].expand(-1, 1, *noisy.shape[2:])
        return self.layers(torch.cat([noisy, plane], 1))


def make_guidance(task: Diffusion, data: Data, noising: Noising, space: Space) -> Guidance:
    """Raise InputError for data without classes, where the guidance needs them."""
    if task.guidance == "none":
        return Guidance(data)
    if data.targets is None:
        raise InputError(f"task.guidance={task.guidance} needs classes, which these data lack: use none")
    if task.guidance == "classifier_free":
        return ClassifierFree(data, task.drop, task.guidance_scale)
    return ByClassifier(data, task.guidance_scale, noising, space)
