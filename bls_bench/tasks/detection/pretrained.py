"""torchvision's detectors as they are, with random weights or with trained ones."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

import torch
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn
from torchvision.models import detection, get_model_builder, get_model_weights, list_models

from bls_bench.data.base import Images
from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.detection.networks import WholeBatch


@cache
def names() -> list[str]:
    """Return the names that can be built; keypoints are none of these tasks."""
    return [name for name in list_models(detection) if "keypoint" not in name]


def build(name: str, weights: str | None, info: Images) -> nn.Module:
    """Build one of `names`; see `Detector`. Raises InputError for weights that cannot be read or do not fit."""
    detector = get_model_builder(name)(weights=None, weights_backbone=None, num_classes=info.num_classes + 1)
    if weights is not None:
        load(detector, _state(name, weights), f"model.weights={weights}")
        detector = freeze_batch_norm_2d(detector)
    before = detector.transform
    detector.transform = WholeBatch(before.image_mean, before.image_std, info.image_size)
    return detector


def _state(name: str, weights: str) -> dict[str, Tensor]:
    if weights == "DEFAULT":
        return get_model_weights(name).DEFAULT.get_state_dict(progress=True, check_hash=True)
    path = Path(weights).expanduser()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(f"model.weights={path} cannot be read as a state dict: {folded(error)}") from error


def load(model: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load a state dict, leaving as they are the parameters whose shape hangs on the number of classes.

    Raises InputError, naming one, where the state has other names than the model.
    """
    own = model.state_dict()
    strange = sorted(state.keys() ^ own.keys())
    if strange:
        raise InputError(f"{what} is of another model: {strange[0]} is only in one of them")
    model.load_state_dict(
        {name: value for name, value in state.items() if value.shape == own[name].shape}, strict=False
    )
