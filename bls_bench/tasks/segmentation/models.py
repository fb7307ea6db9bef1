"""Networks that give every pixel a class: a small U-Net, torchvision's and smp's by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bls_bench.data.base import Images
from bls_bench.system import settings
from bls_bench.system.errors import InputError
from bls_bench.tasks.base import Model

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Segmenter(Model):
    """`name` is unet or torchvision's name of a segmentation model (lraspp_mobilenet_v3_large, ...).

    weights: of torchvision's, a file of a state dict, or DEFAULT for those trained on COCO (downloaded);
    what hangs on the number of classes stays random. null: all of it is.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"images", "pixel_classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"pixel_logits"})
    name: str
    weights: str | None = settings.folder(None)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must be unet or a segmentation model of torchvision, got ''")
        if self.weights is not None and self.name == "unet":
            raise ValueError(f"weights must be null for unet, got {self.weights}")

    def build(self, info: Images) -> nn.Module:
        """Build the network for (b, 3, S, S) images in [0, 1]; its output is (b, num_classes, S, S).

        Raises InputError for an unknown name, weights that do not fit, and a size that it cannot take.
        """
        from bls_bench.tasks.segmentation import networks

        if self.name == "unet":
            return networks.checked(networks.UNet(info.num_classes), info, "model.name=unet")
        if self.name not in networks.torchvision_names():
            allowed = ", ".join(["unet", *networks.torchvision_names()])
            raise InputError(f"model.name={self.name} is no segmentation model: allowed are {allowed}")
        return networks.of_torchvision(self.name, self.weights, info)


@dataclass(frozen=True, kw_only=True)
class SegmentationModels(Model):
    """segmentation-models-pytorch: `name` is an architecture (upernet, deeplabv3plus, ...).

    encoder: resnet50, tu-convnext_tiny, or another of its encoders. weights: a file of a state dict of the
    whole network, or DEFAULT for an encoder trained on ImageNet (downloaded); null: random ones.
    """

    requires: ClassVar[tuple[str, ...]] = ("segmentation_models_pytorch",)
    extra: ClassVar[str] = "segmentation"
    needs: ClassVar[frozenset[str]] = frozenset({"images", "pixel_classes"})
    gives: ClassVar[frozenset[str]] = frozenset({"pixel_logits"})
    name: str
    encoder: str = "resnet18"
    weights: str | None = settings.folder(None)

    def build(self, info: Images) -> nn.Module:
        """As `Segmenter.build`; raises InputError for an architecture or encoder that there is none of."""
        from bls_bench.tasks.segmentation import networks

        return networks.of_smp(self.name, self.encoder, self.weights, info)
