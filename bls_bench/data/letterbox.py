"""Pictures of any shape in a square: scaled as a whole, centred, black beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from bls_bench.system.lazy import Lazy, torch

if TYPE_CHECKING:
    from torch import Tensor
    from torchvision.transforms.v2 import functional
else:
    functional = Lazy("torchvision.transforms.v2.functional")


@dataclass(frozen=True)
class Letterbox:
    """Where a picture of `width` x `height` pixels lies in a square of side `size`."""

    width: int
    height: int
    size: int

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height within the square."""
        longest = max(self.width, self.height)
        return tuple(max(1, round(side * self.size / longest)) for side in (self.width, self.height))  # type: ignore[return-value]

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top."""
        width, height = self.inner
        return (self.size - width) // 2, (self.size - height) // 2

    def image(self, picture: Image.Image) -> Tensor:
        """Return (3, size, size) uint8 of an RGB picture."""
        return self._placed(
            functional.pil_to_tensor(picture.resize(self.inner, Image.Resampling.BILINEAR)), 0
        )

    def labels(self, labels: Tensor, fill: int) -> Tensor:
        """Return (m, size, size) of (m, height, width) uint8, each pixel the nearest; `fill` beside them."""
        width, height = self.inner
        scaled = torch.nn.functional.interpolate(
            labels[:, None].float(), (height, width), mode="nearest-exact"
        )
        return self._placed(scaled[:, 0].to(labels.dtype), fill)

    def points(self, points: Tensor) -> Tensor:
        """Move (..., 2) points, x and y in pixels."""
        (width, height), corner = self.inner, points.new_tensor(self.corner)
        return points * points.new_tensor([width / self.width, height / self.height]) + corner

    def boxes(self, boxes: Tensor) -> Tensor:
        """Move (m, 4) boxes x1 y1 x2 y2."""
        return self.points(boxes.view(-1, 2, 2)).flatten(1)

    def _placed(self, pixels: Tensor, fill: int) -> Tensor:
        left, top = self.corner
        square = pixels.new_full((len(pixels), self.size, self.size), fill)
        square[:, top : top + pixels.shape[1], left : left + pixels.shape[2]] = pixels
        return square
