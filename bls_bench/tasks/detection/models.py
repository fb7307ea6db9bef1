"""Detectors: torchvision's architectures on a small backbone, and torchvision's own by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Images
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn

SMALL = ("fcos", "retinanet", "fasterrcnn", "maskrcnn")


@dataclass(frozen=True, kw_only=True)
class Detector(Model):
    """`name` is one of SMALL, for images of 32 to some 256 pixels, or torchvision's name of a detector.

    fcos, retinanet, fasterrcnn and maskrcnn have torchvision's heads on a small backbone; the names of
    `torchvision.models.detection` (fcos_resnet50_fpn, ssdlite320_mobilenet_v3_large, ...) give those as they
    are there. weights: for the latter, a file of a state dict; DEFAULT for torchvision's, trained on COCO, or
    BACKBONE for its backbone, trained on ImageNet (both downloaded); null starts from random ones. Where the
    number of classes differs, the last layer of the classifier stays random. With weights, BatchNorm is
    frozen.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images", "boxes"})
    name: str
    weights: str | None = settings.folder(None)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError(f"name must be one of {', '.join(SMALL)} or a detector of torchvision, got ''")
        if self.weights is not None and self.name in SMALL:
            raise ValueError(f"weights must be null for {self.name}, got {self.weights}")

    @property
    def gives(self) -> frozenset[str]:
        return frozenset({"detections", *(("outlines",) if self.name.startswith("maskrcnn") else ())})

    def build(self, info: Images) -> nn.Module:
        """Build the detector, with random weights or those asked for, for (b, 3, S, S) images in [0, 1].

        Raises InputError for an unknown name, weights that do not fit, and images that it cannot take.
        """
        from bls_bench.tasks.detection import networks, pretrained

        if self.name in SMALL:
            return networks.SMALL[self.name](info)
        if self.name not in pretrained.names():
            allowed = ", ".join([*SMALL, *pretrained.names()])
            raise InputError(f"model.name={self.name} is no detector: allowed are {allowed}")
        return pretrained.build(self.name, self.weights, info)
