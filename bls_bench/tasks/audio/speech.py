"""HuBERT and wav2vec 2.0 as classifiers: waves in, logits out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForAudioClassification

from bls_bench.tasks.audio.data import Sounds
from bls_bench.tasks.audio.models import SpeechEncoder
from bls_bench.tasks.pretrained import pretrained

QUIET = 1e-7


class SoundClassifier(nn.Module):
    """A model of transformers that classifies sounds, each brought to mean 0 and spread 1 as it expects."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, waves: Tensor) -> Tensor:
        centred = waves - waves.mean(1, keepdim=True)
        return self.model(centred / (centred.square().mean(1, keepdim=True) + QUIET).sqrt()).logits

    def get_classifier(self) -> nn.Module:
        """As timm's models name their last layer."""
        return self.model.classifier  # type: ignore[return-value]


def _plain(dropout: float, info: Sounds) -> dict[str, Any]:
    """Return what is the same for all: no masking, which would draw from numpy's global generator."""
    return {
        "num_labels": info.num_classes,
        "hidden_dropout": dropout,
        "attention_dropout": dropout,
        "activation_dropout": dropout,
        "mask_time_prob": 0.0,
        "mask_feature_prob": 0.0,
        "layerdrop": 0.0,
    }


def small(settings: SpeechEncoder, info: Sounds) -> SoundClassifier:
    config = AutoConfig.for_model(
        settings.kind,
        num_hidden_layers=settings.layers,
        hidden_size=settings.width,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.width,
        conv_dim=[settings.width] * 7,
        classifier_proj_size=settings.width,
        **_plain(settings.dropout, info),
    )
    return SoundClassifier(AutoModelForAudioClassification.from_config(config))


def from_folder(weights: str, dropout: float, info: Sounds) -> SoundClassifier:
    """Load a pretrained model, its classifier random; raises InputError if there is none."""
    model = pretrained(
        AutoModelForAudioClassification, weights, ignore_mismatched_sizes=True, **_plain(dropout, info)
    )
    return SoundClassifier(model)
