"""A network that sweeps planes through a scene: depth where the views agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from bls_bench.tasks.stereo.geometry import planes, warp
from bls_bench.tasks.stereo.views import ViewBatch

if TYPE_CHECKING:
    from bls_bench.tasks.stereo.models import PlaneSweep

# Pixels of a picture, each way, that share a feature; channels that are normalised together.
STRIDE, GROUP = 4, 8


class PlaneSweepNet(nn.Module):
    """Features of each view, their variance on planes that face the first camera, and a depth of each pixel.

    GroupNorm, not BatchNorm: its statistics are a scene's own, whatever the others of the batch are.
    """

    def __init__(self, settings: PlaneSweep) -> None:
        super().__init__()
        self.planes = settings.planes
        self.features = nn.Sequential(
            *_layer(nn.Conv2d(3, settings.width, 4, 2, 1)),
            *_layer(nn.Conv2d(settings.width, settings.width, 3, 1, 1)),
            *_layer(nn.Conv2d(settings.width, 2 * settings.width, 4, 2, 1)),
            *_layer(nn.Conv2d(2 * settings.width, 2 * settings.width, 3, 1, 1)),
            nn.Conv2d(2 * settings.width, settings.width, 3, 1, 1),
        )
        self.regularised = Regularisation(settings.width, settings.volume)

    def forward(self, batch: ViewBatch) -> Tensor:
        """Return (b, H, W) float32: depth in metres."""
        views, size = batch.images.shape[1], batch.images.shape[-2:]
        features = self.features(batch.images.flatten(0, 1)).unflatten(0, (-1, views))
        depths = planes(batch.ranges, self.planes)
        scores = self.regularised(self._variance(features, batch, depths)).float()[:, 0]
        # The mean depth under the chance of each plane ("soft argmin": Kendall et al. 2017, equation 1).
        found = (scores.softmax(1) * depths[..., None, None]).sum(1, keepdim=True)
        return F.interpolate(found, size, mode="bilinear")[:, 0]

    def _variance(self, features: Tensor, batch: ViewBatch, depths: Tensor) -> Tensor:
        """Return (b, C, D, h, w): the variance over views (Yao et al. 2018, MVSNet, equation 2).

        features: (b, V, C, h, w). What a view does not see counts as 0, as there.
        """
        lenses = batch.lenses / STRIDE
        own = features[:, 0, :, None].float().expand(-1, -1, self.planes, -1, -1)
        total, squares = own, own.square()
        for view in range(1, features.shape[1]):
            seen = warp(features[:, view], (lenses[:, 0], lenses[:, view]), batch.moves[:, view - 1], depths)
            total, squares = total + seen, squares + seen.square()
        return squares / features.shape[1] - (total / features.shape[1]).square()


class Regularisation(nn.Module):
    """Convolutions over depth and pixels, of two sizes: from (b, inputs, D, h, w) to (b, 1, D, h, w)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(*_layer(nn.Conv3d(inputs, width, 3, padding=1)))
        self.coarse = nn.Sequential(
            *_layer(nn.Conv3d(width, 2 * width, 3, 2, 1)),
            *_layer(nn.Conv3d(2 * width, 2 * width, 3, padding=1)),
            nn.Conv3d(2 * width, width, 1),
        )
        self.head = nn.Conv3d(width, 1, 3, padding=1)

    def forward(self, volume: Tensor) -> Tensor:
        fine = self.fine(volume)
        coarse = F.interpolate(self.coarse(fine), fine.shape[2:], mode="trilinear")
        return self.head(fine + coarse)


def _layer(convolution: nn.Conv2d | nn.Conv3d) -> tuple[nn.Module, ...]:
    channels = convolution.out_channels
    return convolution, nn.GroupNorm(channels // GROUP, channels), nn.ReLU(inplace=True)
