"""The ResNet-20 of the CIFAR papers."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class ResNet20(nn.Module):
    """The 20-layer ResNet for CIFAR of He et al. (2016): 0.27M parameters, none of them in shortcuts."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.stem = _conv3x3(channels, 16, stride=1)
        self.norm = nn.BatchNorm2d(16)
        widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
        self.blocks = nn.Sequential(*(_Block(*pair) for pair in pairwise(widths)))
        self.head = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        return self.head(self.blocks(x).mean((2, 3)))

    def get_classifier(self) -> nn.Module:
        """As timm's models name their last layer."""
        return self.head


class _Block(nn.Module):
    """Two convolutions around a shortcut that, where the width doubles, skips pixels and adds zeros."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.stride = width // width_in
        self.conv1 = _conv3x3(width_in, width, self.stride)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride=1)
        self.norm2 = nn.BatchNorm2d(width)
        self.extra = (width - width_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(self.norm2(self.conv2(y)) + shortcut)


def _conv3x3(width_in: int, width: int, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(width_in, width, kernel_size=3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
