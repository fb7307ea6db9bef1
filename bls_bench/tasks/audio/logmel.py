"""Log-mel spectrograms, and a convolutional network on them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from bls_bench.tasks.audio.data import Sounds
from bls_bench.tasks.audio.models import LogMelCNN

# Power below which two sounds are as quiet as each other.
FLOOR = 1e-6
# Values of which a CPU makes bands at once: with all that is made of them they stay in its cache.
CACHED = 2**18


class LogMel(nn.Module):
    """Turns waves (b, t) into (b, bands, frames): logarithms of the power in bands as wide as we hear."""

    window: Tensor
    filters: Tensor

    def __init__(self, rate: int, bands: int, milliseconds: float) -> None:
        super().__init__()
        self.size = max(round(rate * milliseconds / 1000), 2)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.register_buffer("filters", mel_filters(self.size // 2 + 1, rate, bands), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        at_once = max(1, CACHED // waves.shape[1]) if waves.device.type == "cpu" else len(waves)
        # In full precision: half of it does not hold the range of a spectrum.
        with torch.autocast(waves.device.type, enabled=False):
            return torch.cat([self._bands(few) for few in waves.float().split(at_once)])

    def _bands(self, waves: Tensor) -> Tensor:
        spectrum = torch.stft(waves, self.size, self.size // 2, window=self.window, return_complex=True)
        return (self.filters @ spectrum.abs().square() + FLOOR).log()


def mel_filters(frequencies: int, rate: int, bands: int) -> Tensor:
    """Return the weight of each frequency in each band, (bands, frequencies).

    Triangles that are equally wide on the mel scale, 2595 log10(1 + f / 700), from 0 to half the rate.
    """
    top = 2595 * torch.log10(torch.tensor(1 + rate / 2 / 700, dtype=torch.float64))
    mels = torch.linspace(0, float(top), bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    at = torch.linspace(0, rate / 2, frequencies, dtype=torch.float64)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return torch.minimum((at - low) / (middle - low), (high - at) / (high - middle)).clamp_min(0).float()


class LogMelNet(nn.Module):
    """Waves (b, t) in, logits (b, classes) out."""

    def __init__(self, settings: LogMelCNN, info: Sounds) -> None:
        super().__init__()
        self.spectrogram = LogMel(info.rate, settings.bands, settings.window)
        # Each band by its own mean and spread over the sounds.
        self.norm = nn.BatchNorm1d(settings.bands)
        widths = [1, *(settings.width * 2**level for level in range(4))]
        self.blocks = nn.Sequential(*(_block(*pair) for pair in pairwise(widths)))
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(widths[-1], info.num_classes)

    def forward(self, waves: Tensor) -> Tensor:
        bands = self.norm(self.spectrogram(waves))
        return self.head(self.dropout(self.blocks(bands[:, None]).mean((2, 3))))

    def get_classifier(self) -> nn.Module:
        """As timm's models name their last layer."""
        return self.head


def _block(width_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
    )
