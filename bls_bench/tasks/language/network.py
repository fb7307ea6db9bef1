"""Causal language models of transformers, whole or with LoRA."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.modeling_utils import PreTrainedModel

from bls_bench.system.errors import InputError, folded
from bls_bench.tasks.language.models import CausalLM
from bls_bench.tasks.text.data import Texts
from bls_bench.tasks.text.pretrained import pretrained_on_texts


class NextToken(nn.Module):
    """Gives every token's logits of the one after it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.model(**inputs, use_cache=False).logits


def network(settings: CausalLM, info: Texts) -> NextToken:
    """See `CausalLM.build`."""
    model = (
        _random(settings, info)
        if settings.weights is None
        else pretrained_on_texts(AutoModelForCausalLM, settings.weights, info)
    )
    positions, longest = model.config.to_dict().get("max_position_embeddings"), int(info.lengths.max())
    if positions is not None and longest > positions:
        raise InputError(
            f"dataset.max_length must be at most {positions}, the positions of the model: "
            f"the longest sample has {longest} tokens"
        )
    return NextToken(model if settings.lora_rank is None else _with_lora(model, settings, settings.lora_rank))


def _random(settings: CausalLM, info: Texts) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=info.vocabulary,
        pad_token_id=info.pad,
        bos_token_id=None,
        eos_token_id=None,
        num_hidden_layers=settings.layers,
        hidden_size=settings.width,
        intermediate_size=4 * settings.width,
        num_attention_heads=settings.heads,
        max_position_embeddings=settings.positions,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def _with_lora(model: PreTrainedModel, settings: CausalLM, rank: int) -> nn.Module:
    # Imported here: it takes seconds, and only LoRA needs it.
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise InputError(
            "model.lora_rank needs peft, which is not installed: pip install 'bls_bench[language]'"
        ) from None

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type]  # a factor, told as an integer
        lora_dropout=settings.lora_dropout,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise InputError(f"model.lora_rank={rank}: {folded(error)}") from None
