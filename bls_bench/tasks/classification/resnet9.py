"""A residual network of eight convolutions for small pictures, of the kind that CIFAR speed runs train."""

from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)
SCALE = 0.125


class ResNet9(nn.Module):
    """Wide and shallow, for a GPU: 6.6M parameters, 0.38 billion multiplications for 32x32 pixels.

    Three stages halve the picture; the first and the last end in a block of two convolutions around a
    shortcut. The features are the maximum over what is left of the picture, an eighth of it, or the first
    logits would be too large for the usual learning rates. After Page, "How to train your ResNet" (2018).
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        first, second, third, last = WIDTHS
        self.features = nn.Sequential(
            _convolution(channels, first),
            _halving(first, second),
            _Residual(second),
            _halving(second, third),
            _halving(third, last),
            _Residual(last),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(SCALE * self.features(x))

    def get_classifier(self) -> nn.Module:
        """As timm's models name their last layer."""
        return self.head


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_convolution(width, width), _convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def _convolution(width_in: int, width: int) -> nn.Sequential:
    conv = nn.Conv2d(width_in, width, kernel_size=3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())


def _halving(width_in: int, width: int) -> nn.Sequential:
    # With a ceiling, or a picture of 4 pixels would be gone before the last stage.
    return nn.Sequential(_convolution(width_in, width), nn.MaxPool2d(2, ceil_mode=True))
