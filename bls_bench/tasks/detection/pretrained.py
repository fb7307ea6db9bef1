"""torchvision's detectors as they are, with random weights or with trained ones."""

from __future__ import annotations

from functools import cache

from timm.layers import freeze_batch_norm_2d
from torch import nn
from torchvision.models import detection, get_model_builder, list_models

from bls_bench.data.base import Images
from bls_bench.tasks.detection.networks import WholeBatch
from bls_bench.tasks.weights import load_weights, weights_of


@cache
def names() -> list[str]:
    """Return the names that can be built; keypoints are none of these tasks."""
    return [name for name in list_models(detection) if "keypoint" not in name]


def build(name: str, weights: str | None, info: Images) -> nn.Module:
    """Build one of `names`; see `Detector`. Raises InputError for weights that are not of it."""
    backbone, classes = "DEFAULT" if weights == "BACKBONE" else None, info.num_classes + 1
    detector = get_model_builder(name)(weights=None, weights_backbone=backbone, num_classes=classes)
    if weights is not None and backbone is None:
        load_weights(detector, weights_of(name, weights), f"model.weights={weights}")
        detector = freeze_batch_norm_2d(detector)
    before = detector.transform
    detector.transform = WholeBatch(before.image_mean, before.image_std, info.image_size)
    return detector
