"""The variational autoencoder: a bound of the likelihood, and how far its images are from real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.data.base import Data, Images
from bls_bench.system.streams import stream
from bls_bench.tasks.generation.fid import Fid, Together
from bls_bench.tasks.generation.pictures import write_grid, write_rows
from bls_bench.tasks.objective import Loss, MeanMeasure, Measure, Objective, Place
from bls_bench.tasks.vae.networks import Autoencoder
from bls_bench.tasks.vae.task import VAE

DRAWS = 8  # codes of an image in evaluation


class Bounding(Objective):
    """A batch is a tuple that begins with the normalised images (b, C, H, W).

    The loss is that of Kingma & Welling 2014 with pixels as probabilities: the cross-entropy, summed over the
    pixels, of one drawn code, and the divergence of the codes' distribution from the normal one.
    """

    def __init__(self, task: VAE, data: Data) -> None:
        super().__init__()
        self.info: Images = data.info
        self.per_sample = task.per_sample
        self.fid = Fid(data, task.inception, task.samples)
        self.latent = 0

    def watch(self, model: nn.Module, wanted: frozenset[str]) -> None:
        self.latent = cast(Autoencoder, model).latent

    def loss(self, model: nn.Module, batch: Any, place: Place, wanted: frozenset[str]) -> Loss:
        noise = torch.randn(len(batch[0]), self.latent, generator=place.stream("noise"))
        recon, kl = self.terms(model, batch[0], noise.to(batch[0].device))
        parts = {"recon": recon.detach().mean(), "kl": kl.detach().mean()}
        bound = recon + kl
        return Loss(bound if self.per_sample else bound.mean(), parts)

    def terms(self, model: nn.Module, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (b,) cross-entropies and divergences of images, in nats; noise (b, latent)."""
        logits, mean, log_variance = (output.float() for output in model(images, noise))
        pixels = self.info.pixels(images)
        recon = F.binary_cross_entropy_with_logits(logits, pixels, reduction="none").flatten(1).sum(1)
        kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        return recon, kl

    def measure(self) -> Measure:
        return Together(self.fid.measure(self.sample), Elbo(self))

    def sample(self, model: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        """Generate `count` images (n, C, H, W): the means of their pixels."""
        codes = torch.randn(count, self.latent, generator=generator)
        decoder = cast(Autoencoder, model).decoder
        return decoder(codes.to(next(model.parameters()).device)).float().sigmoid()

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw samples.png, and reconstructions.png: rows of test images, each above what became of them."""
        device = next(model.parameters()).device
        write_grid(self.sample(model, 100, stream(0, "show")), folder / "samples.png", columns=10)
        some = torch.arange(min(40, len(data.test)))
        images = next(iter(data.test.batches([some], 0, device)))[0]
        logits, *_ = model(images, images.new_zeros(len(images), self.latent))
        write_rows(self.info.pixels(images), logits.sigmoid(), folder / "reconstructions.png", columns=10)


class Elbo(MeanMeasure):
    """The bound in nats, for a few codes of each image.

    The same noise serves all images: which batch or process an image comes in changes nothing.
    """

    def __init__(self, objective: Bounding) -> None:
        super().__init__("elbo")
        self._objective = objective
        half = torch.randn(DRAWS // 2, objective.latent, generator=stream(0, "elbo"))
        self._noise = torch.cat([half, -half])

    def values(self, model: nn.Module, batch: Any) -> Tensor:
        images = batch[0]
        bounds = []
        for noise in self._noise.to(images.device):
            recon, kl = self._objective.terms(model, images, noise.expand(len(images), -1))
            bounds.append(recon + kl)
        return -torch.stack(bounds).mean(0)
