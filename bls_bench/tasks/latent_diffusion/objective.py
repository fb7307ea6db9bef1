"""Diffusion in the codes of a frozen autoencoder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from bls_bench.data.base import Data, Images
from bls_bench.tasks.diffusion.objective import Diffusing
from bls_bench.tasks.diffusion.space import Space
from bls_bench.tasks.generation.fixed import CPU
from bls_bench.tasks.generation.pictures import write_rows
from bls_bench.tasks.latent_diffusion.autoencoder import Autoencoder, load, train_small
from bls_bench.tasks.latent_diffusion.task import LatentDiffusion

AT_ONCE = 32  # images decoded


class LatentSpace(Space):
    """Codes, scaled to about unit variance as in Rombach et al. 2022: by that of some training images.

    bound: in standard deviations. Without one, an error in the noise at the first steps of sampling, where
    next to nothing is left of the sample, grows more than a hundredfold.
    """

    bound = 4.0

    def __init__(self, autoencoder: Autoencoder, data: Data, name: str) -> None:
        super().__init__()
        self.name = name
        self.autoencoder = autoencoder
        self.info: Images = data.info
        some = torch.arange(min(AT_ONCE, len(data.train)))
        images = next(iter(data.train.plain().batches([some], 0, CPU)))[0]
        self.scale = 1.0
        codes = self.encode(images)
        self.scale = float(codes.std())
        self.shape = (codes.shape[1], codes.shape[2], codes.shape[3])

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        return self.autoencoder.encode(self.info.pixels(images) * 2 - 1).float() / self.scale

    @torch.no_grad()
    def decode(self, clean: Tensor) -> Tensor:
        parts = [self.autoencoder.decode(part * self.scale) for part in clean.split(AT_ONCE)]
        return ((torch.cat(parts).float() + 1) / 2).clamp(0, 1)


class LatentDiffusing(Diffusing):
    """As `Diffusing`, whose space is that of the codes."""

    def __init__(self, task: LatentDiffusion, data: Data) -> None:
        if task.autoencoder is None:
            autoencoder = train_small(data, task.channels, task.factor)
        else:
            autoencoder = load(task.autoencoder, data, task.channels, task.factor)
        super().__init__(task, data, LatentSpace(autoencoder, data, f"codes/{task.autoencoder}"))

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw samples.png, and reconstructions.png: test images above what the autoencoder makes of them."""
        super().show(model, data, folder)
        some = torch.arange(min(40, len(data.test)))
        images = next(iter(data.test.batches([some], 0, next(model.parameters()).device)))[0]
        pairs = self.info.pixels(images), self.space.decode(self.space.encode(images))
        write_rows(*pairs, folder / "reconstructions.png", columns=10)
