"""Pretrained models of texts."""

from __future__ import annotations

from typing import Any

from transformers.modeling_utils import PreTrainedModel

from bls_bench.system.errors import InputError
from bls_bench.tasks.pretrained import pretrained
from bls_bench.tasks.text.data import Texts


def pretrained_on_texts(kind: Any, weights: str, info: Texts, **options: Any) -> PreTrainedModel:
    """Load a model as `pretrained` does. Raises InputError also for one of fewer tokens than texts have."""
    model = pretrained(kind, weights, **options)
    if model.config.vocab_size < info.vocabulary:
        raise InputError(
            f"model.weights={weights} knows {model.config.vocab_size} tokens, the data have "
            f"{info.vocabulary}: take the model's own tokenizer, dataset.tokenizer={weights}"
        )
    return model
