"""Trained weights for networks of torchvision: its own by name, or a file of a state dict."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights

from bls_bench.system import sealing
from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.fitting import shapes, tell_random


def weights_of(name: str, weights: str) -> dict[str, Tensor]:
    """Return torchvision's own weights of `name` for DEFAULT, which it may download, else those of a file.

    Raises InputError for a file that cannot be read.
    """
    if weights == "DEFAULT":
        return dict(get_model_weights(name).DEFAULT.get_state_dict(progress=True, check_hash=True))
    path = Path(weights).expanduser()
    try:
        content = path.read_bytes()
        if sealing.is_damaged(content):
            raise ValueError("its checksum does not fit")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("it is no mapping of names to tensors")
        return state
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise InputError(f"model.weights={path} cannot be read as a state dict: {folded(error)}") from None


def load_weights(model: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load a state dict; what has another shape, as it hangs on the number of classes, stays as it is.

    Such tensors are told. Raises InputError where the state has other names than the model, naming one, and
    where most of its weights have other shapes.
    """
    own = model.state_dict()
    strange = sorted(state.keys() ^ own.keys())
    if strange:
        raise InputError(f"{what} is of another model: {strange[0]} is only in one of them")
    fitting = {name: value for name, value in state.items() if value.shape == own[name].shape}
    lost = {name: shapes(state[name].shape, own[name].shape) for name in own.keys() - fitting.keys()}
    tell_random(own, lost, what)
    model.load_state_dict(fitting, strict=False)
