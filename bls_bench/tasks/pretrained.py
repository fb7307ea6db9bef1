"""Pretrained models of transformers."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers.modeling_utils import PreTrainedModel

from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.fitting import shapes, tell_random


def pretrained(kind: Any, weights: str, key: str = "model.weights", **options: Any) -> PreTrainedModel:
    """Load a model by a class of transformers, from a folder or by its name on the hub.

    key: the setting that names it.
    Its weights are float32 whatever they were saved as: small steps are lost in half of that, and where it
    is wanted `trainer.precision` says so. What the folder lacks, as the head of another task, is told. Raises
    InputError if there is no such model, and if its weights are of another one.
    """
    path = Path(weights).expanduser()
    what = f"{key}={weights}"
    try:
        model, found = kind.from_pretrained(
            path if path.exists() else weights, dtype=torch.float32, output_loading_info=True, **options
        )
    except RuntimeError:  # told in a table of many lines, which transformers has printed
        raise InputError(f"{what}: its tensors have other shapes than its config.json says") from None
    except (SafetensorError, pickle.UnpicklingError):  # of pickle's, a whole page says how to run its code
        raise InputError(f"{what}: its file of weights is damaged") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{what}: {folded(error)}") from None
    lost = dict.fromkeys(found["missing_keys"], "is not in the file")
    lost |= {name: shapes(file, here) for name, file, here in found["mismatched_keys"]}
    tell_random(model.state_dict(), lost, what)
    return model
