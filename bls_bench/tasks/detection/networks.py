"""torchvision's detectors on a small backbone with a feature pyramid, for small images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN, MaskRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

from bls_bench.data.base import Images

# Channels of the stages, each at half the size of the one before, the first at a quarter of the image's.
STAGES, PYRAMID, GROUPS = (48, 96, 128, 160), 64, 8
# Widths of the heads of the R-CNNs.
HIDDEN, MASK = 256, 32
# A level of the pyramid has at least so many places along a side.
PLACES = 4
# As in torchvision: of ImageNet, close enough for other pictures.
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# COCO's mean precision goes over all scores: few detections are left out for theirs.
SCORE, DETECTIONS = 0.02, 100


class WholeBatch(GeneralizedRCNNTransform):
    """Takes torchvision's place before a detector: normalises a batch at once, and resizes nothing."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], size: int) -> None:
        super().__init__(size, size, list(mean), list(std))

    def forward(
        self, images: Tensor, targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[ImageList, list[dict[str, Tensor]] | None]:
        """images: (b, 3, S, S) float in [0, 1]."""
        height, width = images.shape[-2:]
        return ImageList(self.normalize(images), [(height, width)] * len(images)), targets


def norm(channels: int) -> nn.Module:
    """Not BatchNorm: few images make a batch here, pruning changes which, and boxes are rare in them."""
    return nn.GroupNorm(GROUPS, channels)


class Block(nn.Module):
    """Two 3x3 convolutions beside a way past them."""

    def __init__(self, inputs: int, outputs: int, stride: int | tuple[int, int]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            norm(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            norm(outputs),
        )
        self.past = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.relu(self.body(inputs) + self.past(inputs))


class Backbone(nn.Module):
    """A small ResNet and its feature pyramid: a map of PYRAMID channels for each level, the finest first."""

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.out_channels = PYRAMID
        self.strides = tuple(4 * 2**level for level in range(len(STAGES)))
        self.strides = tuple(stride for stride in self.strides if image_size >= PLACES * stride)
        widths = STAGES[: len(self.strides)]
        first = widths[0] // 2
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 3, 2, 1, bias=False), norm(first), nn.ReLU(inplace=True)
        )
        before = (first, *widths)
        self.stages = nn.ModuleList(
            Block(inputs, outputs, 2) for inputs, outputs in zip(before, widths, strict=False)
        )
        self.pyramid = FeaturePyramidNetwork(list(widths), PYRAMID)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, maps = self.stem(images), OrderedDict()
        for level, stage in enumerate(self.stages):
            maps[str(level)] = features = stage(features)
        return self.pyramid(maps)


def _anchors(backbone: Backbone, sides: Sequence[float], shapes: Sequence[float]) -> AnchorGenerator:
    """sides: of the anchors at each place, in strides; shapes: their heights over their widths."""
    sizes = tuple(tuple(side * stride for side in sides) for stride in backbone.strides)
    return AnchorGenerator(sizes, (tuple(shapes),) * len(sizes))


def fcos(info: Images) -> nn.Module:
    backbone = Backbone(info.image_size)
    return _ready(
        FCOS(
            backbone,
            info.num_classes + 1,
            anchor_generator=_anchors(backbone, (1.0,), (1.0,)),
            score_thresh=SCORE,
            detections_per_img=DETECTIONS,
        ),
        info,
    )


def retinanet(info: Images) -> nn.Module:
    backbone = Backbone(info.image_size)
    anchors = _anchors(backbone, (2.0, 2.0 * 2 ** (1 / 3), 2.0 * 2 ** (2 / 3)), (0.5, 1.0, 2.0))
    head = RetinaNetHead(
        PYRAMID,
        anchors.num_anchors_per_location()[0],
        info.num_classes + 1,
        norm_layer=partial(nn.GroupNorm, GROUPS),
    )
    return _ready(
        RetinaNet(
            backbone,
            info.num_classes + 1,
            anchor_generator=anchors,
            head=head,
            score_thresh=SCORE,
            detections_per_img=DETECTIONS,
        ),
        info,
    )


def fasterrcnn(info: Images) -> nn.Module:
    backbone = Backbone(info.image_size)
    return _ready(FasterRCNN(backbone, **_two_stages(backbone, info)), info)


def maskrcnn(info: Images) -> nn.Module:
    backbone = Backbone(info.image_size)
    return _ready(
        MaskRCNN(
            backbone,
            mask_roi_pool=MultiScaleRoIAlign(_levels(backbone), 14, 2),
            mask_head=MaskRCNNHeads(PYRAMID, (MASK, MASK), 1),
            mask_predictor=MaskRCNNPredictor(MASK, MASK, info.num_classes + 1),
            **_two_stages(backbone, info),
        ),
        info,
    )


def _levels(backbone: Backbone) -> list[str]:
    return [str(level) for level in range(len(backbone.strides))]


def _two_stages(backbone: Backbone, info: Images) -> dict[str, object]:
    """What the R-CNNs share: fewer proposals and narrower heads than for photographs of 800 pixels."""
    return {
        "rpn_anchor_generator": _anchors(backbone, (3.0,), (0.5, 1.0, 2.0)),
        "rpn_pre_nms_top_n_train": 400,
        "rpn_pre_nms_top_n_test": 400,
        "rpn_post_nms_top_n_train": 200,
        "rpn_post_nms_top_n_test": 100,
        "rpn_batch_size_per_image": 64,
        "box_roi_pool": MultiScaleRoIAlign(_levels(backbone), 7, 2),
        "box_head": TwoMLPHead(PYRAMID * 7**2, HIDDEN),
        "box_predictor": FastRCNNPredictor(HIDDEN, info.num_classes + 1),
        "box_batch_size_per_image": 32,
        "box_detections_per_img": DETECTIONS,
    }


def _ready(detector: nn.Module, info: Images) -> nn.Module:
    detector.transform = WholeBatch(MEAN, STD, info.image_size)
    return detector


SMALL: dict[str, Callable[[Images], nn.Module]] = {
    "fcos": fcos,
    "retinanet": retinanet,
    "fasterrcnn": fasterrcnn,
    "maskrcnn": maskrcnn,
}
