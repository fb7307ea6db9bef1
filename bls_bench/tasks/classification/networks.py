"""The layers of the small networks."""

from __future__ import annotations

from torch import Tensor, nn


class Headed(nn.Module):
    """A body that gives (b, features), and a linear last layer on it."""

    def __init__(self, body: nn.Module, features: int, num_classes: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    def get_classifier(self) -> nn.Module:
        """As timm's models name their last layer."""
        return self.head


def mlp(inputs: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU())


def cnn(channels: int, width: int) -> nn.Module:
    layers: list[nn.Module] = []
    for wide_in, wide in ((channels, width), (width, 2 * width)):
        layers += [nn.Conv2d(wide_in, wide, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten())
