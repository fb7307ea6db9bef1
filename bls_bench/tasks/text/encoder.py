"""Encoders of transformers as classifiers: tokens in, logits out."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification
from transformers.modeling_utils import PreTrainedModel

from bls_bench.tasks.text.data import Texts
from bls_bench.tasks.text.models import Encoder
from bls_bench.tasks.text.pretrained import pretrained_on_texts


class TextClassifier(nn.Module):
    """A model of transformers that classifies sequences. positions: the tokens it takes; None: any number."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.positions: int | None = model.config.to_dict().get("max_position_embeddings")

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.model(**inputs).logits

    def get_classifier(self) -> nn.Module:
        """The last linear layer, under the name that timm's models have for it."""
        return [layer for layer in self.model.modules() if isinstance(layer, nn.Linear)][-1]


def small_bert(settings: Encoder, info: Texts) -> TextClassifier:
    config = BertConfig(
        vocab_size=info.vocabulary,
        pad_token_id=info.pad,
        num_labels=info.num_classes,  # type: ignore[call-arg]
        num_hidden_layers=settings.layers,
        hidden_size=settings.width,
        intermediate_size=4 * settings.width,
        num_attention_heads=settings.heads,
        max_position_embeddings=settings.positions,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
    )
    return TextClassifier(BertForSequenceClassification(config))


def from_folder(weights: str, dropout: float, info: Texts) -> TextClassifier:
    """Load a pretrained encoder, its classifier random; raises InputError as `Encoder.build` does."""
    model = pretrained_on_texts(
        AutoModelForSequenceClassification,
        weights,
        info,
        num_labels=info.num_classes,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        ignore_mismatched_sizes=True,  # of a classifier of other classes
    )
    return TextClassifier(model)
