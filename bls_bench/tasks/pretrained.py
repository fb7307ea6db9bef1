"""Pretrained models of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers.modeling_utils import PreTrainedModel

from bls_bench.system.errors import InputError, folded


def pretrained(kind: Any, weights: str, **options: Any) -> PreTrainedModel:
    """Load a model by one of transformers' Auto classes, from a folder or by its name on the hub.

    Its weights are float32 whatever they were saved as: small steps are lost in half of that, and where it
    is wanted `trainer.precision` says so. Raises InputError if there is no such model.
    """
    path = Path(weights).expanduser()
    try:
        return kind.from_pretrained(path if path.exists() else weights, dtype=torch.float32, **options)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"model.weights={weights}: {folded(error)}") from None
