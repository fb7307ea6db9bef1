"""Networks that turn images into normal distributions of codes, and codes into images."""

from __future__ import annotations

from torch import Tensor, nn

from bls_bench.data.base import Images


class Autoencoder(nn.Module):
    """encoder: images (b, C, H, W) to (b, 2 * latent); decoder: codes (b, latent) to logits (b, C, H, W)."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, latent: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.latent = encoder, decoder, latent

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means and the logarithms of the variances of the codes, (b, latent) each."""
        mean, log_variance = self.encoder(images).chunk(2, 1)
        return mean, log_variance

    def forward(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits for codes drawn by `noise` (b, latent), and their means and log variances."""
        mean, log_variance = self.encode(images)
        return self.decoder(mean + (log_variance / 2).exp() * noise), mean, log_variance


def mlp(info: Images, latent: int, width: int) -> Autoencoder:
    shape = info.channels, info.image_size, info.image_size
    pixels = info.channels * info.image_size**2
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, 2 * latent))
    decoder = nn.Sequential(
        nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, pixels), nn.Unflatten(1, shape)
    )
    return Autoencoder(encoder, decoder, latent)


def conv(info: Images, latent: int, width: int) -> Autoencoder:
    quarter = info.image_size // 4
    deep = 2 * width, quarter, quarter
    size = 2 * width * quarter**2
    encoder = nn.Sequential(
        nn.Conv2d(info.channels, width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(size, 2 * latent),
    )
    decoder = nn.Sequential(
        nn.Linear(latent, size),
        nn.ReLU(),
        nn.Unflatten(1, deep),
        nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(width, info.channels, 4, stride=2, padding=1),
    )
    return Autoencoder(encoder, decoder, latent)
