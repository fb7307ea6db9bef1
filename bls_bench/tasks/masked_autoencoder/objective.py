"""The masked autoencoder: the error of hidden patches, and what its features are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from bls_bench.data.base import Data, Images
from bls_bench.system.streams import stream
from bls_bench.tasks.drawing import enlarged, write_rows
from bls_bench.tasks.generation.fid import Together
from bls_bench.tasks.masked_autoencoder.network import Found, Masked
from bls_bench.tasks.masked_autoencoder.probe import Probe
from bls_bench.tasks.masked_autoencoder.task import MaskedAutoencoder
from bls_bench.tasks.objective import Loss, MeanMeasure, Measure, Objective, Place

SHOWN = 8
MASKS = 4  # in evaluation


class Reconstructing(Objective):
    """A batch is a tuple that begins with the normalised images (b, C, H, W) and their classes.

    The loss of an image is the mean squared error of its hidden patches (He et al. 2022).
    """

    def __init__(self, task: MaskedAutoencoder, data: Data) -> None:
        super().__init__()
        self.info: Images = data.info
        self.per_sample, self.normalised = task.per_sample, task.normalised
        self._data = data
        self.patches = 0

    def watch(self, model: nn.Module, wanted: frozenset[str]) -> None:
        self.patches = cast(Masked, model).patches
        self._patchify = cast(Masked, model).model.patchify

    def loss(self, model: nn.Module, batch: Any, place: Place, wanted: frozenset[str]) -> Loss:
        images = batch[0]
        noise = torch.rand(len(images), self.patches, generator=place.stream("mask"))
        losses = self.errors(model, images, noise.to(images.device))
        return Loss(losses if self.per_sample else losses.mean())

    def errors(self, model: nn.Module, images: Tensor, noise: Tensor) -> Tensor:
        """Return the (b,) mean squared errors of hidden patches; noise (b, L) says which are."""
        found: Found = model(images, noise)
        error = (found.patches.float() - self.targets(images)[0]).square().mean(2)
        return (error * found.hidden).sum(1) / found.hidden.sum(1)

    def targets(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the patches (b, L, k) to be found, and the (b, L, 1) means and spreads taken out of them."""
        patches = self._patchify(images.float())
        if not self.normalised:
            return patches, torch.zeros_like(patches[..., :1]), torch.ones_like(patches[..., :1])
        mean, spread = patches.mean(2, keepdim=True), (patches.var(2, keepdim=True) + 1e-6).sqrt()
        return (patches - mean) / spread, mean, spread

    def measure(self) -> Measure:
        return Together(Probe(self._data, _features), Reconstruction(self))

    def show(self, model: nn.Module, data: Data, folder: Path) -> None:
        """Draw reconstructions.png: test images, what of them is seen, and what is made of that."""
        device = next(model.parameters()).device
        images = next(iter(data.test.batches([torch.arange(min(SHOWN, len(data.test)))], 0, device)))[0]
        noise = torch.rand(len(images), self.patches, generator=stream(0, "show")).to(device)
        found: Found = model(images, noise)
        patches, mean, spread = self.targets(images)
        hidden = found.hidden[..., None]
        whole = patches * spread + mean
        made = torch.where(hidden > 0, found.patches * spread + mean, whole)
        unpatchify = cast(Masked, model).model.unpatchify
        rows = [images, unpatchify(whole * (1 - hidden)), unpatchify(made)]
        pictures = [self.info.pixels(row).expand(-1, 3, -1, -1) for row in rows]
        write_rows([[enlarged(one)[0] for one in row] for row in pictures], folder / "reconstructions.png")


def _features(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    return model(batch[0]), batch[1]


class Reconstruction(MeanMeasure):
    """The error on test images, the mean over a few masks, which are the same for all images."""

    def __init__(self, objective: Reconstructing) -> None:
        super().__init__("reconstruction")
        self._objective = objective
        self._noise = torch.rand(MASKS, objective.patches, generator=stream(0, "reconstruction"))

    def values(self, model: nn.Module, batch: Any) -> Tensor:
        images = batch[0]
        errors = [
            self._objective.errors(model, images, noise.expand(len(images), -1))
            for noise in self._noise.to(images.device)
        ]
        return torch.stack(errors).mean(0)
