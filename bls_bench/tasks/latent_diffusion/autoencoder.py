"""Autoencoders of images of values from -1 to 1: a small one, and diffusers' from a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.data.base import Data
from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.generation.fixed import trained, training_pixels

WIDTH = 32
BATCH = 16
NOISE, SPREAD = 0.1, 1e-3


class Autoencoder(nn.Module):
    """encode: images (b, C, H, W) to codes (b, c, h, w); decode: back."""

    def encode(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, codes: Tensor) -> Tensor:
        raise NotImplementedError


class SmallAutoencoder(Autoencoder):
    """Convolutions of stride 2, one for each halving."""

    def __init__(self, image_channels: int, channels: int, factor: int) -> None:
        super().__init__()
        halvings = factor.bit_length() - 1
        down: list[nn.Module] = []
        up: list[nn.Module] = [nn.Conv2d(channels, WIDTH, 3, padding=1), nn.SiLU()]
        for number in range(halvings):
            down += [nn.Conv2d(WIDTH if number else image_channels, WIDTH, 4, 2, 1), nn.SiLU()]
            up += [nn.ConvTranspose2d(WIDTH, WIDTH, 4, 2, 1), nn.SiLU()]
        down += [nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.SiLU(), nn.Conv2d(WIDTH, channels, 3, padding=1)]
        self.encoder = nn.Sequential(*down)
        self.decoder = nn.Sequential(*up, nn.Conv2d(WIDTH, image_channels, 3, padding=1))

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(images)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes)


def train_small(data: Data, channels: int, factor: int) -> Autoencoder:
    """Return a small autoencoder of the training images.

    It minimises the squared error of images from codes with a little noise, and the size of the codes: a
    variational autoencoder whose codes have a fixed variance. So near codes make like images.
    """
    pixels, content = training_pixels(data)

    def loss(network: nn.Module, chosen: Tensor, generator: torch.Generator) -> Tensor:
        autoencoder, images = cast(Autoencoder, network), pixels[chosen] * 2 - 1
        codes = autoencoder.encode(images)
        noisy = codes + NOISE * torch.randn(codes.shape, generator=generator)
        return F.mse_loss(autoencoder.decode(noisy), images) + SPREAD * codes.square().mean()

    def make() -> nn.Module:
        return SmallAutoencoder(data.info.channels, channels, factor)

    name = f"autoencoder/{channels}/{factor}"
    return cast(Autoencoder, trained(name, content, len(pixels), make, loss, batch=BATCH))


class Pretrained(Autoencoder):
    """diffusers' AutoencoderKL or VQModel. image_channels, channels, factor: of images and codes."""

    def __init__(self, path: str) -> None:
        """Read a folder; raises InputError for one that holds neither."""
        super().__init__()
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
        from diffusers.models.autoencoders.vq_model import VQModel

        kinds: dict[str, Any] = {"AutoencoderKL": AutoencoderKL, "VQModel": VQModel}
        config = Path(path).expanduser() / "config.json"
        try:
            self._name = json.loads(config.read_text())["_class_name"]
            with torch.random.fork_rng(devices=[]):
                self.network, found = kinds[self._name].from_pretrained(
                    config.parent, local_files_only=True, output_loading_info=True
                )
            if found["missing_keys"]:  # which diffusers leaves without numbers
                raise ValueError(f"its weights lack {found['missing_keys'][0]}")
        except Exception as error:  # whatever json, safetensors or diffusers find wrong in it
            raise InputError(
                f"task.autoencoder={path} must be a folder with diffusers' AutoencoderKL or VQModel: "
                f"{folded(error)}"
            ) from None
        self.network.eval().requires_grad_(False)
        sizes = self.network.config
        self.image_channels, self.channels = sizes.in_channels, sizes.latent_channels
        self.factor = 2 ** (len(sizes.block_out_channels) - 1)

    def encode(self, images: Tensor) -> Tensor:
        found = self.network.encode(images)
        return found.latent_dist.mode() if self._name == "AutoencoderKL" else found.latents

    def decode(self, codes: Tensor) -> Tensor:
        return self.network.decode(codes).sample


def load(path: str, data: Data, channels: int, factor: int) -> Autoencoder:
    """Read an autoencoder; raises InputError where it does not fit the images or the settings."""
    found, images = Pretrained(path), data.info.channels
    if found.image_channels != images:
        raise InputError(
            f"task.autoencoder={path} takes images of {found.image_channels} channels, the data have {images}"
        )
    if (found.channels, found.factor) != (channels, factor):
        raise InputError(
            f"task.autoencoder={path} makes codes of other sizes: "
            f"use task.channels={found.channels} task.factor={found.factor}"
        )
    return found
